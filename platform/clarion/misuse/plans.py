"""Plans: named sets of quotas that staff write and choose for accounts; nothing is sold here.

A plan's limits are written into each account's quotas, because that is where they are
kept: at the gate, in forms, by a trigger. What staff set for one account stands above them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.misuse import measures, watching
from clarion.misuse.quotas import MOST, wake
from clarion.tenancy import access, audit
from clarion.tenancy.records import QUOTAS, AccountPlan, AccountQuota, Plan, PlanLimit
from clarion.tenancy.scope import current_actor, system_scope
from clarion.work.jobs import job

LONGEST_NAME: Final = 40
LONGEST_ABOUT: Final = 200
AT_ONCE: Final = 200  # accounts in one transaction
FIRST: Final = UUID(int=0)

audit.label("console.plan.written", "Wrote a plan")
audit.label("console.plan.retired", "Offers a plan no more")
audit.label("console.plan.offered", "Offers a plan again")
audit.label("console.plan.chosen", "Chose an account's plan")


@dataclass(frozen=True, slots=True)
class Line:
    """A plan as the console lists it: what it limits, and how many accounts have it."""

    id: UUID
    name: str
    about: str
    place: int
    limits: dict[str, int]
    accounts: int
    retired: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What staff write of a plan; a limit that is missing is none."""

    name: str
    about: str
    place: int
    limits: Mapping[str, int]


def listing() -> list[Line]:
    """List every plan, those on offer first, in three statements."""
    access.require("console.accounts")
    orm = db.session()
    limits: dict[UUID, dict[str, int]] = {}
    for row in orm.scalars(select(PlanLimit)):
        limits.setdefault(row.plan_id, {})[row.kind] = row.at_most
    counted = select(AccountPlan.plan_id, func.count()).group_by(AccountPlan.plan_id)
    have = dict(orm.execute(counted).tuples().all())
    order = (Plan.retired_at.is_not(None), Plan.place, Plan.name)
    return [
        Line(
            one.id,
            one.name,
            one.about,
            one.place,
            limits.get(one.id, {}),
            have.get(one.id, 0),
            one.retired_at is not None,
        )
        for one in orm.scalars(select(Plan).order_by(*order))
    ]


def write(draft: Draft) -> UUID:
    """Write a plan that accounts may be given from now on; returns its id."""
    access.require("console.plans_edit")
    name, about = _checked(draft)
    plan = Plan(name=name, about=about, place=draft.place)
    _named(plan)
    _limit(plan, draft.limits)
    audit.record("console.plan.written", plan, **_facts(plan, draft.limits))
    return plan.id


def change(plan_id: UUID, draft: Draft) -> None:
    """Change a plan; the quotas of every account that has it follow, page by page."""
    access.require("console.plans_edit")
    plan = _locked(plan_id)
    name, about = _checked(draft)
    plan.name, plan.about, plan.place = name, about, draft.place
    plan.changed_at = clock.now()
    _named(plan)
    _limit(plan, draft.limits)
    audit.record("console.plan.written", plan, **_facts(plan, draft.limits))
    spread.later(plan_id)


def retire(plan_id: UUID) -> None:
    """Offer a plan no more; accounts that have it keep it."""
    access.require("console.plans_edit")
    plan = _locked(plan_id)
    if plan.retired_at is not None:
        raise Conflict("plan_retired", _("This plan is not offered any more."))
    plan.retired_at = clock.now()
    audit.record("console.plan.retired", plan)


def offer(plan_id: UUID) -> None:
    """Offer a plan again."""
    access.require("console.plans_edit")
    plan = _locked(plan_id)
    if plan.retired_at is None:
        raise Conflict("plan_offered", _("This plan is on offer already."))
    plan.retired_at = None
    audit.record("console.plan.offered", plan)


def choose(account_id: UUID, plan_id: UUID | None, reason: str) -> None:
    """Give an account a plan, or none; its quotas are the plan's from its next message on."""
    access.require("console.plans_edit")
    words = measures.said(reason)
    account = measures.locked(account_id)
    plan = _locked(plan_id) if plan_id else None
    had = of(account_id)
    if plan is not None and plan.retired_at is not None:
        raise Conflict("plan_retired", _("This plan is not offered any more."))
    if (had.id if had else None) == plan_id:
        raise Conflict("plan_same", _("The account has this plan already."))
    _give(account_id, plan)
    follow([account_id])
    facts = {"before": had.name if had else "—", "plan": plan.name if plan else "—"}
    audit.record("console.plan.chosen", account, **facts, why=words)
    wake.later(account_id)
    watching.look_at.later(account_id)  # so that staff see how many people there are


def of(account_id: UUID) -> Plan | None:
    """Find the plan of an account, as staff or as the account itself."""
    query = select(Plan).join(AccountPlan, AccountPlan.plan_id == Plan.id)
    return db.session().scalar(query.where(AccountPlan.account_id == account_id))


@job(queue="default", idempotent=True, alone=True, system=True)
def spread(plan_id: UUID, after: UUID = FIRST) -> None:
    """Let the next accounts of a plan follow what it says now, and ring for those after."""
    with system_scope(current_actor()), db.transaction() as orm:
        query = select(AccountPlan.account_id).where(
            AccountPlan.plan_id == plan_id, AccountPlan.account_id > after
        )
        ids = list(orm.scalars(query.order_by(AccountPlan.account_id).limit(AT_ONCE)))
        for account_id in follow(ids):
            wake.later(account_id)
        if len(ids) == AT_ONCE:
            spread.later(plan_id, ids[-1])


def follow(ids: Sequence[UUID]) -> list[UUID]:
    """Make quotas of accounts what their plans say; returns where something changed.

    What staff set for an account themselves is left alone, and what was counted today too.
    """
    q, orm = AccountQuota, db.session()
    wanted = (
        select(AccountPlan.account_id, PlanLimit.kind, PlanLimit.at_most)
        .join(PlanLimit, PlanLimit.plan_id == AccountPlan.plan_id)
        .where(AccountPlan.account_id.in_(ids))
    )
    rows = orm.execute(wanted).tuples().all()
    keys = [(account_id, kind) for account_id, kind, _most in rows]
    gone = delete(q).where(q.account_id.in_(ids), q.of_plan)
    if keys:
        gone = gone.where(tuple_(q.account_id, q.kind).not_in(keys))
    changed = set(orm.scalars(gone.returning(q.account_id)))
    if rows:
        new = insert(q).values(
            [
                {
                    "id": db.new_id(), "account_id": account_id, "kind": kind,
                    "at_most": most, "reason": "", "by": "", "of_plan": True,
                }
                for account_id, kind, most in rows
            ]
        )  # fmt: skip
        said = {"at_most": new.excluded.at_most, "set_at": func.clarion_now()}
        other = q.of_plan & (q.at_most != new.excluded.at_most)
        kept = new.on_conflict_do_update(
            index_elements=["account_id", "kind"], set_=said, where=other
        )
        changed |= set(orm.scalars(kept.returning(q.account_id)))
    return sorted(changed)


# --- the plan itself


def _checked(draft: Draft) -> tuple[str, str]:
    name, about = " ".join(draft.name.split()), " ".join(draft.about.split())
    if not name or len(name) > LONGEST_NAME:
        raise Invalid("plan_name", _("Give it a name of at most 40 letters."), field="name")
    if len(about) > LONGEST_ABOUT:
        raise Invalid("plan_about", _("Use at most 200 letters."), field="about")
    for kind, most in draft.limits.items():
        if kind not in QUOTAS:
            raise Invalid("quota_unknown", _("There is no such quota."), field=kind)
        if not 0 <= most <= MOST:
            raise Invalid("quota_invalid", _("Give a number from 0 up."), field=kind)
    return name, about


def _named(plan: Plan) -> None:
    try:
        with db.session().begin_nested():
            db.session().add(plan)
            db.session().flush()
    except IntegrityError as error:
        raise Conflict("plan_known", _("There is a plan of this name already.")) from error


def _limit(plan: Plan, limits: Mapping[str, int]) -> None:
    orm, m = db.session(), PlanLimit
    gone = delete(m).where(m.plan_id == plan.id, m.kind.not_in(list(limits)))
    orm.execute(gone.execution_options(synchronize_session=False))
    if limits:
        new = insert(m).values(
            [{"plan_id": plan.id, "kind": k, "at_most": n} for k, n in limits.items()]
        )
        said = {"at_most": new.excluded.at_most}
        orm.execute(
            new.on_conflict_do_update(index_elements=["plan_id", "kind"], set_=said)
        )


def _give(account_id: UUID, plan: Plan | None) -> None:
    orm, m = db.session(), AccountPlan
    mine = m.account_id == account_id
    if plan is None:
        orm.execute(delete(m).where(mine).execution_options(synchronize_session=False))
        return
    values = {"plan_id": plan.id, "since": func.clarion_now()}
    values |= {"by": current_actor().name[:120]}
    change = update(m).where(mine).values(**values).returning(m.id)
    if orm.scalar(change.execution_options(synchronize_session=False)) is None:
        orm.execute(insert(m).values(id=db.new_id(), account_id=account_id, **values))


def _facts(plan: Plan, limits: Mapping[str, int]) -> dict[str, object]:
    return {"plan": plan.name, **{kind: limits.get(kind) for kind in QUOTAS}}


def _locked(plan_id: UUID) -> Plan:
    query = select(Plan).where(Plan.id == plan_id).with_for_update()
    found = db.session().scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise NotFound("plan_unknown", _("There is no such plan."))
    return found
