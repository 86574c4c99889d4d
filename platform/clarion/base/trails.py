"""What the log of deeds keeps when rows of a table change; each model says it.

    class Coupon(AccountBase):
        trail = Trail(lazy("Coupon"), skip=("used", "updated_at"))

    class CouponHit(AccountBase):
        trail = NoTrail("a counter; the coupon says how often it was used")

`tenancy.audit` reads it; a model that says nothing is watched whole.
"""

from dataclasses import dataclass
from typing import Literal

from clarion.base.words import Lazy


@dataclass(frozen=True, slots=True)
class Trail:
    """Every change of a row leaves an entry with what was before and after.

    Of a column that logs may not show, as its declaration says, and of bytes, which are
    sealed or hashed, an entry says only that they changed.

    Attributes:
        noun: what a row is to whoever reads the log.
        skip: columns that change by themselves: progress, beats, counters, copies. A
            statement that sets only these leaves nothing and costs nothing.
        mask: further columns of which an entry says only that they changed.
        many: what becomes of a statement whose rows are too many to be read, or that
            inserts without objects: one entry with their number, or it is refused.
    """

    noun: Lazy | str = ""
    skip: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    many: Literal["counted", "refused"] = "counted"


@dataclass(frozen=True, slots=True)
class NoTrail:
    """Changes of this table leave no entry.

    Attributes:
        why: the reason: what tells of them instead, or why nobody chose them.
    """

    why: str
