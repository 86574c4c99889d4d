"""Panels about lanes and jobs: stop a lane, look at a job, run it again."""

from typing import Any
from uuid import UUID

from flask import request, url_for
from flask_babel import lazy_gettext

from clarion.base.words import _, ngettext
from clarion.console import machine, queues
from clarion.tenancy.access import allowed
from clarion.web.pages import fragment, is_fragment
from clarion.web.screens import Panel, expose, needs, settle
from clarion.web.ui import url_with
from clarion.work import stops


class ConsoleQueuePanel(Panel):
    """What waits, who works on it, what failed for good, what runs by the clock."""

    route_base = "/queues"
    title = lazy_gettext("Queues")

    @expose("/")
    @needs("console.queues")
    def index(self) -> Any:
        """Show the lanes; a live region asks for them again."""
        given: dict[str, Any] = {
            "page": queues.look(),
            "words": words(),
            "may": allowed("console.queues_edit"),
        }
        if is_fragment():
            return fragment(self.render("console/queues_live.html", **given))
        return self.render(
            "console/queues.html", **given, kinds=queues.kinds(), slots=machine.slots()
        )

    @expose("/lanes/<lane>")
    @needs("console.queues")
    def lane(self, lane: str) -> Any:
        """Show what waits in one lane, and what stops it."""
        asked = request.args.get("after", "")
        after = int(asked) if asked.isdecimal() and len(asked) < 19 else 0
        rows, more = queues.waiting(lane, after)
        one = next(one for one in queues.look().lanes if one.name == lane)
        return self.render(
            "console/lane.html",
            lane=one,
            rows=rows,
            words=words(),
            may=allowed("console.queues_edit"),
            older=url_with(after=more) if more else "",
        )

    @expose("/lanes/<lane>/pause", methods=["POST"])
    @needs("console.queues_edit")
    def pause(self, lane: str) -> Any:
        """Let workers take nothing more from it."""
        why = request.form.get("reason", "")
        done = _("The lane is paused. Workers obey within three seconds.")
        return settle(lambda: queues.pause(lane, why), done, self._lane(lane))

    @expose("/lanes/<lane>/drain", methods=["POST"])
    @needs("console.queues_edit")
    def drain(self, lane: str) -> Any:
        """Let nothing new in and work off what is there."""
        why = request.form.get("reason", "")
        done = _("Nothing new comes into the lane; what is in it is worked off.")
        return settle(lambda: queues.drain(lane, why), done, self._lane(lane))

    @expose("/lanes/<lane>/resume", methods=["POST"])
    @needs("console.queues_edit")
    def resume(self, lane: str) -> Any:
        """Let it go on."""
        done = _("The lane goes on.")
        return settle(lambda: queues.resume(lane), done, self._lane(lane))

    @expose("/failed")
    @needs("console.queues")
    def failed(self) -> Any:
        """List given-up jobs, all or of one kind."""
        job = request.args.get("job", "")[:120]
        rows, more = queues.dead(_key(request.args.get("after", "")), job)
        return self.render(
            "console/jobs_failed.html",
            rows=rows,
            job=job,
            kinds=queues.kinds(),
            may=allowed("console.queues_edit"),
            older=url_with(after=more) if more else "",
        )

    @expose("/failed/<uuid:job_id>")
    @needs("console.queues")
    def job(self, job_id: UUID) -> Any:
        """Show one given-up job."""
        return self._job(queues.job(job_id), job_id)

    @expose("/waiting/<key>")
    @needs("console.queues")
    def waiting(self, key: str) -> Any:
        """Show one job that waits."""
        return self._job(queues.waiting_job(key[:80]), None)

    @expose("/failed/<uuid:job_id>/retry", methods=["POST"])
    @needs("console.queues_edit")
    def retry(self, job_id: UUID) -> Any:
        """Run it again."""
        back = url_for(".job", job_id=job_id)
        done = _("It runs again within seconds.")
        return settle(lambda: queues.retry(job_id), done, back)

    @expose("/failed/retry", methods=["POST"])
    @needs("console.queues_edit")
    def retry_all(self) -> Any:
        """Run all of one kind again."""
        job, told = request.form.get("job", "")[:120], list[str]()

        def act() -> None:
            count, left = queues.retry_all(job)
            text = ngettext("%(num)s job runs again.", "%(num)s jobs run again.", count)
            more = ngettext("%(num)s is left.", "%(num)s are left.", left) if left else ""
            told.append(f"{text} {more}".strip())

        return settle(act, lambda: told[0], url_for(".failed"))

    def _job(self, job: queues.View, job_id: UUID | None) -> str:
        return self.render(
            "console/job.html",
            job=job,
            job_id=job_id,
            words=words(),
            lane=stops.OF_QUEUE.get(job.line.queue, ""),
            may=allowed("console.queues_edit"),
        )

    def _lane(self, lane: str) -> str:
        return url_for(".lane", lane=lane)


def words() -> dict[str, tuple[str, str]]:
    """Name each lane and say what is in it, and what waits while it stands still."""
    return {
        "inbound": (_("What people write"), _("replies, STOP and START, as they come in")),
        "status": (_("Delivery reports"), _("what providers say became of messages")),
        "code": (
            _("One-time codes"),
            _("codes to send; whoever waits for one cannot sign in"),
        ),
        "reply": (_("Replies"), _("answers to send to people who wrote")),
        "utility": (_("Notices"), _("orders, appointments and the like, to send")),
        "campaigns": (_("Campaigns"), _("campaigns that start and that go on")),
        "intake": (_("After webhooks"), _("what follows from what providers told")),
        "mail": (_("Mails"), _("mails; whoever waits for a code cannot sign in")),
        "default": (
            _("Everything else"),
            _("repairs and checks; all that runs by the clock"),
        ),
        "bulk": (_("Long work"), _("imports, exports and clearing up")),
    }


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
