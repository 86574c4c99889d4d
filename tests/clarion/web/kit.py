"""A bare Flask app that draws the whole kit; run this file to look at it in a browser."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from flask import Flask, flash, render_template
from flask_babel import Babel
from jinja2 import FileSystemLoader
from wtforms import (
    BooleanField,
    FileField,
    Form,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput, ListWidget

from clarion.web.states import STATES
from clarion.web.themes import init_themes
from clarion.web.ui import init_ui

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "platform/clarion/web/frontend/src"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)


class SampleForm(Form):
    token = HiddenField(default="t")
    name = StringField("Campaign name", [InputRequired("Give the campaign a name.")])
    body = TextAreaField("Text", default="Hi {{first_name}}")
    country = SelectField("Country", choices=[(str(i), f"Country {i}") for i in range(12)])
    kind = RadioField(
        "Category", choices=[("marketing", "Marketing"), ("utility", "Utility")]
    )
    days = SelectMultipleField(
        "Days",
        choices=["Mon", "Tue"],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    agreed = BooleanField("These people agreed", [InputRequired("This has to be true.")])
    file = FileField("File")


def icon_names():
    return [
        n.replace(":filled", "-filled") for n in (SOURCES / "icons.txt").read_text().split()
    ]


def sample():
    form = SampleForm(data={"name": ""})
    form.validate()
    rows = [
        {
            "id": i,
            "name": name,
            "phone": f"+55 11 5550-01{i:02}",
            "state": state,
            "seen": datetime(2026, 3, i + 1, 9, 30, tzinfo=UTC),
        }
        for i, (name, state) in enumerate(
            [("Ana Lima", "delivered"), ("<b>João</b>", "failed"), ("Rui", "dispatching")]
        )
    ]
    return {"form": form, "rows": rows, "states": list(STATES), "icons": icon_names()}


def make_app(theme="plain", lang="", signed_in=True):
    app = Flask(__name__)
    if lang:
        Babel(app, default_locale=lang, default_timezone="America/Sao_Paulo")
    app.secret_key = "only for the gallery"
    init_ui(app)
    init_themes(app, theme)
    app.jinja_env.loader.loaders.insert(0, FileSystemLoader(HERE))
    if signed_in:
        _sign_in(app)

    @app.get("/")
    def gallery():
        flash("Saved.", "success")
        flash("<b>That did not work.</b>", "error")
        return render_template("gallery.html", **sample())

    @app.get("/live")
    def live():
        return "", 304

    @app.get("/sign-in")
    def sign_in():
        return render_template("sign_in.html", **sample())

    @app.get("/error/<int:status>")
    def error(status):
        return render_template(
            "ui/error.html",
            status=status,
            sent=False,
            incident="req_8Qx2",
            retry=status > 499,
        ), status

    @app.get("/console-page")
    def console_page():
        return render_template("console_page.html", **sample())

    @app.after_request
    def policy(response):
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return app


def _sign_in(app):
    def entry(title, icon, url, keys, section="", current=False, count=None):
        return SimpleNamespace(
            title=title,
            icon=icon,
            url=url,
            keys=keys,
            section=section,
            current=current,
            count=count,
        )

    actor = SimpleNamespace(
        name="Marina Lopes",
        email="marina@casaverde.example",
        account_name="Casa Verde Foods and Everything Else",
        role="Owner",
    )
    accounts = [
        SimpleNamespace(name="Casa Verde Foods", url="/switch/1", current=True),
        SimpleNamespace(name="Casa Verde Delivery", url="/switch/2", current=False),
    ]
    app.jinja_env.globals.update(
        current_actor=lambda: actor,
        account_choices=lambda: accounts,
        csrf_token=lambda: "token",
        sign_out_url=lambda: "/sign-out",
        environment=lambda: "Staging",
        user_menu=lambda: [entry("Devices", "device-desktop", "/devices", "")],
        palette_items=lambda: [{"t": "New campaign", "h": "/new", "k": "c", "g": "Create"}],
        nav_items=lambda: [
            entry("Overview", "layout-dashboard", "/", "g h", current=True),
            entry("Campaigns", "speakerphone", "/c", "g c", count=12),
            entry("Contacts", "users", "/p", "g o", "Audience"),
            entry("Import", "file-upload", "/i", "g u", "Audience"),
            entry("Team", "users-group", "/t", "g m", "Account"),
        ],
    )


if __name__ == "__main__":
    make_app(*sys.argv[2:4]).run(port=int(sys.argv[1]), use_reloader=False)
