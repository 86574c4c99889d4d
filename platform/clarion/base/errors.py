"""The exception tree: what the person sees, what a machine matches, does trying again help."""

from typing import ClassVar


class ClarionError(Exception):
    """Anything Clarion refuses or cannot do.

    Attributes:
        code: stable, documented, for machines: `noun_problem`.
        text: one sentence in the user's words.
        status: the HTTP status a page or the API answers with.
        retry: whether trying the same again can help.
        field: the form field the sentence belongs to, if any.
    """

    status: ClassVar[int] = 500
    retry: ClassVar[bool] = False

    def __init__(self, code: str, text: str, *, field: str | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = str(text)
        self.field = field


class Invalid(ClarionError):
    """What was sent cannot be used as it is; the sentence names the field or row."""

    status = 422


class NotSignedIn(ClarionError):
    """Nobody is signed in, or the session has ended."""

    status = 401


class Forbidden(ClarionError):
    """The actor may not do this."""

    status = 403


class NotFound(ClarionError):
    """No such thing in this account; says nothing about others."""

    status = 404


class Conflict(ClarionError):
    """The state of the thing does not allow this act (any more)."""

    status = 409


class TooMany(ClarionError):
    """A limit was reached; `retry_after_seconds` says when to come back."""

    status = 429
    retry = True

    def __init__(self, code: str, text: str, *, retry_after_seconds: int = 60) -> None:
        super().__init__(code, text)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(ClarionError):
    """An outside service did not answer; trying again later is right."""

    status = 503
    retry = True

    def __init__(self, code: str, text: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(code, text)
        self.retry_after_seconds = retry_after_seconds


class Misconfigured(ClarionError):
    """The deployment cannot run like this; the sentence says what to change."""

    status = 500


class NotSent(Exception):
    """It failed before the first byte of the request: DNS, TCP, TLS, no free connection."""
