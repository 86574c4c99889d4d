"""Announcements: refused, counted, approved by two, spread once, shown, put away, taken back."""

import datetime as dt

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import IntegrityError
from tests.clarion.announcing.conftest import (
    ADA,
    BEN,
    announce,
    confirmed,
    join,
    within,
    written,
)

from clarion.announcing import audience, drafts, reading, sending, spreading, wording
from clarion.announcing.models import (
    Announcement,
    AnnouncementLetter,
    AnnouncementNotice,
)
from clarion.base import clock, db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.base.settings import settings
from clarion.tenancy.models import AuditEntry
from clarion.testing.factories import make_account, make_sender
from clarion.work.models import Outbox

SYSTEM = db.Entry("clarion_system", None, "test")


# --- what may be said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Read https://evil.example/deal", "announcement_link"),
        ("Read www.evil.example today", "announcement_link"),
        ("See shop.partner.com for more", "announcement_link"),
        ("Write to sales@partner.com", "announcement_link"),
        ("https://{own}@evil.example/", "announcement_link"),
        ("https://evil{own}/", "announcement_link"),
        ("ftp://{own}/file", "announcement_link"),
        ("Save 20 % off all plans", "announcement_offer"),
        ("20% Rabatt auf alles", "announcement_offer"),
        ("Use this coupon", "announcement_offer"),
        ("Upgrade now and send more", "announcement_offer"),
        ("Jetzt bestellen", "announcement_offer"),
        ("It costs € 49", "announcement_money"),
        ("Now only 49 EUR", "announcement_money"),
        ("Now US$5 a month", "announcement_money"),
    ],
)
def test_what_smells_of_advertising_is_refused(database, words, code):
    own = settings().public_url.partition("://")[2].partition(":")[0]

    with pytest.raises(Invalid) as refused:
        wording.require_sober("service", words.format(own=own), "text_en")

    assert (refused.value.code, refused.value.field) == (code, "text_en")


@pytest.mark.parametrize(
    "words",
    [
        "From 02:00 to 03:30 nothing is sent, e.g. no campaign; version 1.5 is 20 % faster.",
        "Read {url}/announcements/ or {url}.",
        "What waits goes on by itself. Nothing is lost.",
    ],
)
def test_sober_words_pass(database, words):
    wording.require_sober("service", words.format(url=settings().public_url), "text_en")


def test_a_price_belongs_to_a_change_of_terms(database):
    words = "From 1 March a month costs 59 EUR."

    wording.require_sober("terms", words, "text_en")
    with pytest.raises(Invalid):
        wording.require_sober("maintenance", words, "text_en")


def test_hosts_of_the_operator_may_be_named(database, monkeypatch):
    monkeypatch.setattr(
        wording, "settings", lambda: settings().model_copy(
            update={"announcement_hosts": ("status.example.com",)}
        ),
    )  # fmt: skip

    wording.require_sober("incident", "See https://status.example.com/now.", "text_en")


def test_the_database_knows_no_other_purpose(database, tenant):
    made = ADA.do(drafts.write, written(tenant))
    engine = create_engine(database.superuser_url)
    with engine.begin() as root, pytest.raises(IntegrityError, match="purpose"):
        root.execute(
            text("UPDATE announcement SET purpose = 'offer' WHERE id = :i"), {"i": made}
        )
    engine.dispose()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "promotion"}, "kind"),
        ({"severity": "loud"}, "severity"),
        ({"audience": "reached"}, "audience"),
        ({"banner": False, "mail": False}, "mail"),
        ({"ends_at": None}, "ends_at"),
        ({"ends_at": clock.now() - dt.timedelta(hours=1)}, "ends_at"),
        ({"ends_at": clock.now() + dt.timedelta(days=200)}, "ends_at"),
        ({"named": "No such account at all"}, "named"),
        ({"named": " "}, "named"),
        ({"audience": "plugin", "value": "nothing"}, "plugin"),
        ({"texts": {"en": ("", "x")}}, "title_en"),
        ({"texts": {"en": ("x", "y" * 4_001)}}, "text_en"),
        ({"texts": {"en": ("x", "y"), "de": ("z", "Jetzt kaufen")}}, "text_de"),
        ({"texts": {"de": ("x", "y")}}, "title_en"),
    ],
)
def test_a_refusal_names_its_field(tenant, wrong, field):
    with pytest.raises(Invalid) as refused:
        ADA.do(drafts.write, written(tenant, **wrong))

    assert refused.value.field == field


# --- who reads it


def test_audiences_are_what_they_say(database, tenant, other):
    make_sender(tenant)
    engine = create_engine(database.superuser_url)
    with engine.begin() as root:
        root.execute(
            text("INSERT INTO preference (id, account_id, plugin, name, value)"
                 " VALUES (gen_random_uuid(), :a, 'contacts', 'on', 'false')"),
            {"a": other.id},
        )  # fmt: skip

    def reach(**more):
        made = ADA.do(drafts.write, written(**more))
        return ADA.do(
            lambda: set(
                db.session().scalars(
                    audience.accounts(db.session().get(Announcement, made))
                )
            )
        )

    mine = {tenant.id, other.id}
    assert reach() >= mine
    assert reach(audience="transport", value="whatsapp_cloud") & mine == {tenant.id}
    assert reach(audience="plugin", value="contacts") & mine == {tenant.id}
    assert reach(audience="accounts", named=f"{other.id}\n") == {other.id}
    with engine.begin() as root:
        root.execute(
            text("UPDATE account SET state = 'closed' WHERE id = :a"), {"a": other.id}
        )
    assert reach() & mine == {tenant.id}
    engine.dispose()


def test_accounts_of_one_name_need_their_ids(tenant):
    name = f"Twin {db.new_id()}"
    twin = make_account(name)
    one = ADA.do(drafts.write, written(tenant, named=name))
    assert [key for key, _name in ADA.do(drafts.read, one).named] == [twin.id]
    make_account(name)

    with pytest.raises(Invalid, match="several"):
        ADA.do(drafts.write, written(tenant, named=name))


# --- sending


def test_owners_and_managers_get_one_mail_each_in_their_language(tenant, other, mails):
    manager = join(tenant, "manager", language="de")
    member = join(tenant, "member")
    join(other, "owner", person_id=tenant.person_id)  # belongs to both

    announce(
        tenant, other, mail=True,
        texts={"en": ("On Sunday", "Nothing is sent."), "de": ("Am Sonntag", "Es ruht.")},
    )  # fmt: skip

    (mail,) = mails(tenant.email)
    assert mail["Subject"] == "Maintenance: On Sunday"
    body = mail.get_content()
    assert "service message because you are an owner of" in body
    assert "carries no advertising" in body
    assert "/announcements/" in body
    (german,) = mails(manager)
    assert german["Subject"].endswith("Am Sonntag")
    assert "Es ruht." in german.get_content()
    assert "Werbung" in german.get_content()
    assert mails(member) == []
    assert len(mails(other.email)) == 1


def test_numbers_must_be_those_of_now(tenant):
    made = ADA.do(drafts.write, written(tenant, mail=True))
    join(tenant, "manager")

    with pytest.raises(Conflict) as refused:
        ADA.do(sending.send, made, 1, 1)

    assert refused.value.code == "announcement_counts"
    assert "2 mails" in refused.value.text


def test_a_mail_to_everybody_takes_two(database, tenant, run_jobs):
    made = ADA.do(drafts.write, written(mail=True))
    confirmed(made)
    waits = ADA.do(drafts.read, made)
    assert waits.row.one.state == "waiting"
    assert waits.mine
    with pytest.raises(Forbidden):
        ADA.do(sending.approve, made)
    with pytest.raises(Conflict):  # what a colleague reads stays as it is
        ADA.do(drafts.change, made, written(mail=True))
    with db.apart(SYSTEM) as orm:
        assert (
            orm.scalar(select(func.count()).where(Outbox.job.like("clarion.announcing%")))
            == 0
        )

    BEN.do(sending.approve, made)
    BEN.do(sending.withdraw, made, "A test.")  # before anybody is written to
    run_jobs()

    engine = create_engine(database.superuser_url)
    with engine.connect() as root:
        row = root.execute(text("SELECT asked_by, approved_by, spread_at FROM announcement"
                                " WHERE id = :i"), {"i": made}).one()  # fmt: skip
        notices = root.scalar(text("SELECT count(*) FROM announcement_notice"
                                   " WHERE announcement_id = :i"), {"i": made})  # fmt: skip
    assert (row.asked_by, row.approved_by) == ("staff:9101", "staff:9102")
    assert notices == 0
    with engine.begin() as root, pytest.raises(IntegrityError, match="two_people"):
        root.execute(
            text("UPDATE announcement SET approved_by = asked_by WHERE id = :i"),
            {"i": made},
        )
    with engine.begin() as root, pytest.raises(IntegrityError, match="mail_to_many"):
        root.execute(
            text("UPDATE announcement SET two_people = false WHERE id = :i"), {"i": made}
        )
    engine.dispose()


def test_what_waits_can_become_a_draft_again(tenant):
    made = ADA.do(drafts.write, written(mail=True))
    confirmed(made)

    BEN.do(sending.give_back, made)
    ADA.do(drafts.change, made, written(tenant, mail=True))
    ADA.do(drafts.discard, made)

    with pytest.raises(NotFound):
        ADA.do(drafts.read, made)


def test_everything_is_in_the_log(tenant, run_jobs):
    made = announce(tenant)
    ADA.do(sending.withdraw, made, "It was wrong.")

    with db.apart(SYSTEM) as orm:
        names = orm.scalars(
            select(AuditEntry.name).where(AuditEntry.row == f"announcement:{made}")
        ).all()
    assert {"row.added", "row.changed"} <= set(names)
    assert set(names) - {"row.added", "row.changed"} == {
        "console.announcement.written", "console.announcement.sent",
        "console.announcement.withdrawn",
    }  # fmt: skip


# --- once, whatever dies


def test_pages_that_die_write_to_nobody_twice(tenant, other, mails, run_jobs, monkeypatch):
    monkeypatch.setattr(spreading, "AT_ONCE", 1)
    made = announce(tenant, other, mail=True)
    posted = spreading.mails.post
    calls = []

    def dies(*given, **named):
        posted(*given, **named)
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("killed")

    monkeypatch.setattr(spreading.mails, "post", dies)
    with pytest.raises(RuntimeError):
        run_jobs()
    for _ in range(3):  # rung again, thrice
        spreading.spread(made)

    assert len(mails(tenant.email)) == len(mails(other.email)) == 1
    assert ADA.do(drafts.reached, [made])[made] == drafts.Reach(2, 2, 0)
    spreading.spread(made)
    assert len(mails(tenant.email)) == 1


def test_a_later_account_gets_the_banner_and_no_mail(tenant, mails, run_jobs, monkeypatch):
    made = ADA.do(drafts.write, written())
    confirmed(made)
    run_jobs()
    late = make_account("Late Ltd")

    spreading.catch_up()

    assert [one.announcement_id for one in within(late, reading.banners, late.person_id, "en")
            ].count(made) == 1  # fmt: skip
    assert mails(late.email) == []
    ADA.do(sending.withdraw, made, "Over.")
    assert made not in [
        one.announcement_id for one in within(late, reading.banners, late.person_id, "en")
    ]


# --- reading


def banners(tenant, language="en"):
    return [
        one.title for one in within(tenant, reading.banners, tenant.person_id, language)
    ]


def test_a_banner_stands_from_its_start_to_its_end(tenant, other, run_jobs):
    now = clock.now()
    hour = dt.timedelta(hours=1)
    announce(tenant, texts={"en": ("Now", "x"), "de": ("Jetzt", "x")})
    announce(
        tenant, texts={"en": ("Soon", "x")}, starts_at=now + hour, ends_at=now + 2 * hour
    )
    announce(tenant, texts={"en": ("Bad", "x")}, severity="critical")
    announce(tenant, texts={"en": ("Mailed", "x")}, banner=False, mail=True)
    run_jobs()

    assert banners(tenant) == ["Bad", "Now"]
    assert banners(tenant, "de") == ["Bad", "Jetzt"]
    assert banners(other) == []
    assert [one.title for one in within(tenant, reading.past, "de")] == [
        "Mailed", "Bad", "Soon", "Jetzt",
    ]  # fmt: skip


def test_a_banner_put_away_stays_away_for_this_person(tenant, run_jobs):
    usual, critical = announce(tenant), announce(tenant, severity="critical")
    run_jobs()

    for _ in range(2):
        within(tenant, reading.dismiss, usual)
    with pytest.raises(Conflict):
        within(tenant, reading.dismiss, critical)

    mine = [
        one.announcement_id
        for one in within(tenant, reading.banners, tenant.person_id, "en")
    ]
    theirs = [
        one.announcement_id for one in within(tenant, reading.banners, db.new_id(), "en")
    ]
    assert mine == [critical]
    assert theirs == [critical, usual]
    assert ADA.do(drafts.reached, [usual])[usual].dismissed == 1


def test_another_account_reads_and_puts_away_nothing(tenant, other, run_jobs):
    made = announce(tenant)
    run_jobs()

    for act, given in ((reading.one, (made, "en")), (reading.dismiss, (made,))):
        with pytest.raises(NotFound):
            within(other, act, *given)


def test_a_correction_reaches_who_was_reached_and_takes_back(
    tenant, other, mails, run_jobs
):
    wrong = announce(tenant, mail=True)
    run_jobs()
    late = join(tenant, "manager")  # did not get the first mail

    made = ADA.do(drafts.correct, wrong)
    ADA.do(
        drafts.change,
        made,
        written(texts={"en": ("On Monday", "Not on Sunday.")}, mail=True),
    )
    confirmed(made)
    run_jobs()

    first, second = mails(tenant.email)
    assert second["Subject"] == "Maintenance: On Monday"
    assert "corrects what we wrote" in second.get_content()
    assert "corrects" not in first.get_content()
    assert mails(late) == mails(other.email) == []
    assert banners(tenant) == ["On Monday"]
    assert within(tenant, reading.one, wrong, "en").withdrawn_reason == "It was corrected."
    assert ADA.do(drafts.read, wrong).corrected_by == [made]


def test_copies_and_letters_are_as_many_as_said(tenant, other, run_jobs):
    made = announce(tenant, other, mail=True)
    run_jobs()

    with db.apart(SYSTEM) as orm:
        copies = orm.scalar(
            select(func.count()).where(AnnouncementNotice.announcement_id == made)
        )
        letters = orm.scalar(
            select(func.count()).where(AnnouncementLetter.announcement_id == made)
        )
    assert (copies, letters) == (2, 2)
    one = ADA.do(drafts.read, made).row.one
    assert (one.accounts, one.mails) == (2, 2)
    assert one.spread_at is not None
