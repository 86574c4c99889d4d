"""The matrix of roles as a whole: change it, hold two roles side by side, take it away."""

from typing import Any

from flask import Response, request, url_for
from flask_babel import lazy_gettext

from clarion.base.words import _
from clarion.console import role_matrix, roles
from clarion.tenancy.scope import current_actor
from clarion.web.screens import Panel, expose, needs, settle

TYPES = {"csv": "text/csv", "json": "application/json"}


class ConsoleMatrixPanel(Panel):
    """Who may what, all of it at once."""

    route_base = "/matrix"
    title = lazy_gettext("Roles")
    within = "ConsoleRolePanel"

    @expose("/")
    @needs("console.roles_edit")
    def index(self) -> Any:
        """Show the matrix with boxes to tick."""
        matrix = roles.matrix()
        return self.render(
            "console/matrix.html",
            matrix=matrix,
            editable=role_matrix.editable(matrix),
            mine=current_actor().permissions,
            seen=role_matrix.version(),
            back=url_for("ConsoleRolePanel.index"),
        )

    @expose("/change", methods=["POST"])
    @needs("console.roles_edit")
    def change(self) -> Any:
        """Let every role that was shown do exactly what is ticked."""
        matrix = roles.matrix()
        may = role_matrix.editable(matrix)
        wanted: dict[int, set[str]] = {
            one.id: set() for one in matrix.roles if one.name in may
        }
        for pair in request.form.getlist("may"):
            key, _dot, name = pair.partition(":")
            if key.isdecimal() and int(key) in wanted:
                wanted[int(key)].add(name)
        act = lambda: role_matrix.change(wanted, request.form.get("seen", ""))  # noqa: E731
        done = _("Saved. It holds from everybody's next click.")
        return settle(act, done, url_for("ConsoleRolePanel.index"))

    @expose("/compare")
    @needs("console.roles")
    def compare(self) -> Any:
        """Show two roles side by side, or one beside what it was seeded with."""
        matrix = roles.matrix()
        left = request.args.get("left") or str(matrix.roles[-1].id)
        other = request.args.get("other") or role_matrix.SEED
        found = role_matrix.compare(matrix, left, other)
        return self.render(
            "console/compare.html",
            found=found,
            every=matrix.roles,
            left=left,
            other=other,
            back=url_for("ConsoleRolePanel.index"),
        )

    @expose("/export", methods=["POST"])
    @needs("console.roles")
    def export(self) -> Any:
        """Download the matrix."""
        kind = request.form.get("kind", "csv")
        name, text = role_matrix.export(kind)
        answer = Response(text, mimetype=TYPES[kind])
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


VIEWS: tuple[type, ...] = (ConsoleMatrixPanel,)
