"""Signing up: asked once, proven by a second yes, by mail or by message, or forgotten."""

import re
from email import message_from_bytes, policy

import pytest
from sqlalchemy import create_engine, func, select, text

from clarion.base import db
from clarion.base.errors import Conflict, Invalid
from clarion.base.settings import settings
from clarion.messaging import heard, identifiers, suppression
from clarion.messaging.models import InboundMessage, Message
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender
from clarion.testing.visitor import Visitor, portal
from clarion.web import codes
from clarion_contacts import service
from clarion_contacts.models import Consent, Contact
from clarion_contacts.records import Joining
from clarion_contacts.service import Details
from clarion_contacts.service.history import history

WORDS = "I want offers from Casa Verde by WhatsApp and e-mail. I can stop whenever I like."
NUMBER = "+5511912340001"


@pytest.fixture
def sender(account):
    return make_sender(account)


@pytest.fixture
def form(account, sender):
    with db.transaction():
        made = service.keep_signup(
            name="Web site", wording=WORDS, by_mail=True, word="Join", sender_id=sender
        )
        return made.id


@pytest.fixture
def client(database):
    return portal().test_client()


@pytest.fixture
def mails(tmp_path):
    """Read the mails that were written since the test began, newest last."""
    folder = settings().mail_folder
    before = set(folder.glob("*.eml")) if folder.exists() else set()

    def read():
        new = sorted(set(folder.glob("*.eml")) - before, key=lambda p: p.stat().st_mtime_ns)
        return [message_from_bytes(p.read_bytes(), policy=policy.default) for p in new]

    return read


def page_of(form_id):
    with db.transaction():
        line = next(one for one in service.signups() if one.id == form_id)
    return f"/contacts/join/{line.token}"


def typed(client, path, email="ana@example.org", **more):
    return client.post(path, data={"email": email, "name": "Ana", "agree": "y"} | more)


def link_in(mail):
    body = mail.get_body(("plain",)).get_content()
    return re.search(r"https?://[^/\s]+(/contacts/\S+)", body)[1]


def events(contact_id=None):
    db.session().expire_all()
    query = select(Consent).order_by(Consent.created_at)
    if contact_id:
        query = query.where(Consent.contact_id == contact_id)
    with db.transaction() as orm:
        return orm.scalars(query).all()


def write(words, number=NUMBER, *, sender, at=None, named=None, run_jobs=None):
    """A person writes to the number, as the intake stores it."""
    from clarion.messaging.contract import Inbound
    from clarion.messaging.incoming import _replies
    from clarion.messaging.models import Channel

    with db.transaction() as orm:
        now = orm.scalar(select(func.clarion_now()))
        one = Inbound(
            provider_id=f"wamid.{db.new_id().hex}",
            sender="5550147",
            identifiers=named or (("wa_id", number.lstrip("+")), ("phone", number)),
            at=at or now,
            text=words,
        )
        _replies(orm.scalar(select(Channel)), [one])
    if run_jobs:
        run_jobs()


def answers():
    with db.transaction() as orm:
        rows = orm.scalars(
            select(Message).where(Message.purpose == "service").order_by(Message.created_at)
        ).all()
    return [
        row.variables["text"]
        if "text" in row.variables
        else next(iter(row.variables.values()))
        for row in rows
    ]


# --- by mail


def test_a_stranger_signs_up_by_mail(client, form, run_jobs, mails):
    path = page_of(form)
    shown = client.get(path)
    assert shown.status_code == 200
    assert WORDS in shown.text
    assert "Set-Cookie" not in shown.headers

    assert typed(client, path).status_code == 302
    run_jobs()
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Contact)) == 0  # nobody yet
    (mail,) = mails()
    confirm = link_in(mail)
    assert WORDS in mail.get_content()
    looked = client.get(confirm)
    assert looked.status_code == 200
    assert events() == []  # looking is not saying yes
    done = client.post(confirm)
    assert done.status_code == 302

    (event,) = events()
    with db.transaction():
        (ana,) = service.find("ana").rows
    assert (event.action, event.method, event.channel) == ("grant", "web_form", "email")
    assert event.contact_id == ana.id
    assert event.evidence_ref.startswith("joining:")
    assert event.idxs == [identifiers.index("email", "ana@example.org")]
    own = client.get(done.location)
    assert own.status_code == 200
    assert "a•••@example.org" in own.text
    assert "Set-Cookie" not in own.headers
    assert client.post(confirm).status_code == 404  # once


def test_a_known_customer_gets_consent_for_the_number_too(client, form, run_jobs, mails):
    with db.transaction():
        ana = service.add(Details(name="Ana", phone=NUMBER, email="ana@example.org")).id
    typed(client, page_of(form))
    run_jobs()

    client.post(link_in(mails()[0]))

    assert {one.channel for one in events(ana)} == {"email", "whatsapp"}
    db.session().expire_all()
    assert service.get(ana).consent == "opted_in"
    with db.transaction():
        assert service.compare(repair=False).differing == 0


# --- an account that may have no more people


@pytest.fixture
def at_most(account):
    """Allow the account so many people."""
    from clarion.misuse import quotas
    from clarion.tenancy.actor import Actor
    from clarion.tenancy.scope import staff_scope

    def put(number):
        may = frozenset({"console.accounts_limit"})
        with staff_scope(Actor("staff", "1", "Ada", permissions=may)), db.transaction():
            quotas.put(account.id, "people", number, "Small plan.")

    return put


def test_a_full_account_refuses_everybody_alike(client, form, at_most, mails, run_jobs):
    """Known or not, and never with a page that failed."""
    with db.transaction():
        service.add(Details(name="Bo", email="bo@example.org"))
    run_jobs()
    at_most(1)
    path = page_of(form)

    known, unknown = typed(client, path, "bo@example.org"), typed(client, path)
    run_jobs()

    assert (known.status_code, unknown.status_code) == (422, 422)
    assert "Nobody new is taken here at present." in known.text
    assert "Nobody new is taken here at present." in unknown.text
    assert "Small plan" not in unknown.text
    assert mails() == []


def test_who_confirms_too_late_is_told_and_may_come_back(
    client, form, at_most, mails, run_jobs
):
    typed(client, page_of(form))
    run_jobs()
    confirm = link_in(mails()[0])
    at_most(0)

    refused = client.post(confirm)
    at_most(1)
    taken = client.post(confirm)

    assert refused.status_code == 409
    assert "Nobody new is taken here at present." in refused.text
    assert taken.status_code == 302
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Contact)) == 1


def test_a_full_account_says_so_by_message(sender, form, at_most, run_jobs):
    """The word, and the yes that comes when it has filled up meanwhile."""
    write("join", sender=sender, run_jobs=run_jobs)
    at_most(0)
    write("yes", sender=sender, run_jobs=run_jobs)
    write("join", number="+5511912340009", sender=sender, run_jobs=run_jobs)

    asked, late, refused = answers()
    assert "Is that right?" in asked
    assert "takes nobody new at present" in late
    assert "takes nobody new at present" in refused
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Contact)) == 0
        assert orm.scalar(select(func.count()).select_from(Joining)) == 1


def test_the_same_answer_whoever_is_typed(client, form, run_jobs, mails):
    with db.transaction():
        quiet = service.add(Details(name="Bo", email="bo@example.org")).id
        service.opt_out(quiet)
    run_jobs()
    path = page_of(form)

    known, unknown = typed(client, path, "bo@example.org"), typed(client, path)
    run_jobs()

    assert (known.status_code, known.location) == (unknown.status_code, unknown.location)
    assert [mail["To"] for mail in mails()] == ["Ana <ana@example.org>"] or [
        mail["To"] for mail in mails()
    ] == ["ana@example.org"]


def test_a_mail_says_how_to_refuse_it_with_one_click(client, form, run_jobs, mails):
    """RFC 8058: an HTTPS-able address in angle brackets, and the POST that needs no cookie."""
    typed(client, page_of(form))
    run_jobs()
    (mail,) = mails()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = re.fullmatch(
        r"<https?://[^/]+(/contacts/decline/\S+)>", mail["List-Unsubscribe"]
    )[1]

    assert client.get(path).status_code == 200
    with db.transaction():
        assert not suppression.is_suppressed("email", "ana@example.org")
    answer = client.post(path, data={"List-Unsubscribe": "One-Click"})

    assert (answer.status_code, answer.text) == (200, "")
    with db.transaction() as orm:
        assert suppression.is_suppressed("email", "ana@example.org")
        row = orm.scalars(select(Joining)).one()
        assert (row.state, row.address) == ("expired", "")
    assert client.post(link_in(mail)).status_code == 404


def test_what_is_never_confirmed_is_forgotten(client, form, run_jobs, mails, database):
    typed(client, page_of(form))
    run_jobs()
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE contacts_joining SET expires_at = now() - interval '1 second'")
        )
    engine.dispose()

    with db.transaction():
        assert service.expire_joinings() == 1
        assert service.expire_joinings() == 0
    with db.transaction() as orm:
        row = orm.scalars(select(Joining)).one()
        assert (row.state, row.address, row.name) == ("expired", "", "")
    assert client.post(link_in(mails()[0])).status_code == 404
    assert events() == []


def test_an_address_is_asked_three_times_an_hour(client, form):
    path = page_of(form)

    tried = [typed(client, path) for _ in range(4)]

    assert [one.status_code for one in tried] == [302, 302, 302, 422]
    assert "That was too often" in tried[-1].text


@pytest.mark.parametrize(
    ("given", "status"),
    [({"email": "not an address"}, 422), ({"agree": ""}, 422), ({"email": ""}, 422)],
)
def test_a_form_without_its_parts_is_refused(client, form, given, status):
    path = page_of(form)
    fields = {"email": "ana@example.org", "agree": "y"} | given
    assert (
        client.post(path, data={k: v for k, v in fields.items() if v}).status_code == status
    )


def test_wrong_links_all_look_alike(client, form):
    good = page_of(form)
    other = make_account("Loja Norte")
    with account_scope(other.id, other.actor), db.transaction():
        foreign = service.sign("form", form)  # another account's signature over our row
    bad = [
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        "/contacts/join/" + foreign,
        "/contacts/join/x",
        "/contacts/join/" + "A" * 72,
        good.replace("/join/", "/stop/"),
        good.replace("/join/", "/you/"),
    ]

    pages = [client.get(path) for path in bad]

    assert {page.status_code for page in pages} == {404}
    plain = [re.sub(r"req_\w+", "", re.sub(r"/contacts/\S+", "", p.text)) for p in pages]
    assert len(set(plain)) == 1
    assert "Casa Verde" not in plain[0]


def test_a_closed_form_takes_nobody(client, form):
    path = page_of(form)
    with db.transaction():
        service.close_signup(form)

    assert client.get(path).status_code == 404
    assert typed(client, path).status_code == 404


# --- by message


def test_a_stranger_signs_up_by_two_messages(form, sender, run_jobs):
    write("JOIN", sender=sender, run_jobs=None)
    _hear(run_jobs)
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Contact)) == 0
    assert len(answers()) == 1
    assert WORDS in answers()[0]
    assert events() == []

    write("Yes!", sender=sender)
    _hear(run_jobs)

    (event,) = events()
    assert (event.action, event.method, event.channel) == (
        "grant", "inbound_message", "whatsapp",
    )  # fmt: skip
    with db.transaction() as orm:
        said = orm.scalars(
            select(InboundMessage.id).order_by(InboundMessage.created_at)
        ).all()
        joined = orm.scalars(select(Joining)).one()
    assert event.evidence_ref == f"inbound_message:{said[1]}"
    assert (joined.state, joined.asked_id, joined.said_id) == ("confirmed", *said)
    with db.transaction():
        (ana,) = service.find("91234").rows
    assert (ana.phone, ana.state) == (NUMBER, "opted_in")
    assert "/contacts/you/" in answers()[1]


def test_the_word_twice_asks_once_and_yes_alone_says_nothing(form, sender, run_jobs):
    write("yes", sender=sender)
    _hear(run_jobs)
    assert answers() == []
    for _ in range(2):
        write("join", sender=sender)
        _hear(run_jobs)

    assert len(answers()) == 1
    assert events() == []


def test_an_everyday_message_with_the_word_in_it_begins_nothing(form, sender, run_jobs):
    write("can I join the party", sender=sender)
    _hear(run_jobs)

    assert answers() == []


def test_who_stopped_and_signs_up_again_by_the_number_gets_messages(form, sender, run_jobs):
    with db.transaction():
        ana = service.add(Details(name="Ana", phone=NUMBER)).id
        service.opt_in(ana, method="shop", source="Shop", wording=WORDS)
        service.opt_out(ana)
        service.stop_everything(ana)

    write("join", sender=sender)
    _hear(run_jobs)
    with db.transaction():
        assert suppression.is_suppressed("phone", NUMBER)  # asked is not confirmed
    write("sim", sender=sender)
    _hear(run_jobs)

    with db.transaction():
        assert not suppression.is_suppressed("phone", NUMBER)
    db.session().expire_all()
    assert service.get(ana).consent == "opted_in"


@pytest.mark.parametrize(
    "reason", ["complaint", "legal", "block", "provider_stop", "erasure"]
)
def test_a_sign_up_lifts_no_complaint(form, sender, run_jobs, reason):
    with db.transaction():
        ana = service.add(Details(name="Ana", phone=NUMBER)).id
        suppression.suppress([], reason=reason, contact_id=ana)

    for word in ("join", "yes"):
        write(word, sender=sender)
        _hear(run_jobs)

    with db.transaction():
        assert suppression.is_suppressed("phone", NUMBER)
    assert [one.action for one in events(ana) if one.action == "grant"] == []


def test_stop_is_heard_before_a_sign_up(form, sender, run_jobs):
    write("join", sender=sender)
    _hear(run_jobs)
    write("stop", sender=sender)
    _hear(run_jobs)

    with db.transaction():
        assert suppression.is_suppressed("phone", NUMBER)
    assert events() == []


def test_what_a_stranger_wrote_from_is_sealed_and_opens(form, sender):
    write("hello", sender=sender)
    with db.transaction() as orm:
        row = orm.scalars(select(InboundMessage)).one()
        assert NUMBER.encode() not in row.named
        assert heard.read(row.id).named == (
            ("wa_id", NUMBER.lstrip("+")),
            ("phone", NUMBER),
        )


# --- the form itself


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"wording": "I agree."}, "consent_wording_lacks"),
        ({"wording": ""}, "consent_wording"),
        ({"name": " "}, "signup_name"),
        ({"word": "stop"}, "signup_word_taken"),
        ({"word": "subscribe"}, "signup_word_taken"),
        ({"word": "JA"}, "signup_word_taken"),
        ({"word": "", "by_mail": False}, "signup_way"),
        ({"sender_id": None}, "signup_sender"),
    ],
)
def test_a_form_that_cannot_work_is_refused(account, sender, change, code):
    given = {
        "name": "Shop", "wording": WORDS, "by_mail": True, "word": "news", "sender_id": sender,
    }  # fmt: skip
    with db.transaction(), pytest.raises(Invalid) as refused:
        service.keep_signup(**given | change)

    assert refused.value.code == code


def test_a_word_belongs_to_one_form(form, sender):
    with db.transaction(), pytest.raises(Conflict) as refused:
        service.keep_signup(
            name="Shop", wording=WORDS, by_mail=True, word=" JOIN! ", sender_id=sender
        )

    assert refused.value.code == "signup_word_used"


def test_new_words_are_a_version_and_old_events_keep_theirs(form, sender, run_jobs):
    for word in ("join", "yes"):
        write(word, sender=sender)
        _hear(run_jobs)
    newer = WORDS.replace("offers", "news and offers")
    with db.transaction():
        service.keep_signup(
            name="Web site", wording=newer, by_mail=True, word="join", sender_id=sender,
            signup_id=form,
        )  # fmt: skip

    (event,) = events()
    with db.transaction():
        line = service.signups()[0]
        shown = history(event.contact_id)
    assert line.wording == newer
    assert shown[0].wording == WORDS


def test_a_form_has_codes_to_print_that_say_its_links(account, form, other_account):
    visitor = Visitor(account)
    with db.transaction():
        line = service.signups()[0]
    base = f"/contacts/consent/forms/{form}"

    for way, link in (
        ("page", f"{settings().public_url}/contacts/join/{line.token}"),
        ("chat", line.chat),
    ):
        picture = visitor.get(f"{base}/{way}.svg")
        saved = visitor.get(f"{base}/{way}.svg?save=1")
        assert picture.text == saved.text == codes.svg(link, "Web site")
        assert picture.headers["Content-Type"].startswith("image/svg+xml")
        assert f'filename="Web site-{way}.svg"' in saved.headers["Content-Disposition"]
        for page in ("/contacts/consent/forms", base):
            assert f'src="{base}/{way}.svg"' in visitor.get(page).text
    assert visitor.get(f"{base}/other.svg").status_code == 404
    assert Visitor(other_account).get(f"{base}/page.svg").status_code == 404
    with db.transaction():
        service.close_signup(form)
    assert visitor.get(f"{base}/page.svg").status_code == 404
    assert "page.svg" not in visitor.get("/contacts/consent/forms").text


def _hear(run_jobs):
    """Run what the message caused, up to where a provider would be asked."""
    from clarion.testing import fixtures

    while batch := [one for one in fixtures._due() if "dispatch" not in one[0]]:
        for path, payload in batch:
            fixtures._run(path, payload)
