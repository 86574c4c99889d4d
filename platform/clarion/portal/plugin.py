"""Account: the door, overview, team, senders, settings and log of a customer."""

from clarion.plugging import Cookie, NavItem, Permission, Plugin, hookimpl

EVERYBODY = ("owner", "manager", "member")

plugin = Plugin(
    name="portal",
    title="Account",
    always=True,
    permissions=(
        Permission(
            "team", "Invite people and change roles", sensitive=True, roles=("owner",)
        ),
        Permission("senders", "Connect, pause and resume numbers", sensitive=True),
        Permission("settings", "Change the account and its plugins", roles=("owner",)),
        Permission("review", "Read reviews, answer and appeal", roles=("owner",)),
        Permission("activity", "Read the account's log"),
        Permission("log", "Download the account's log", sensitive=True, roles=("owner",)),
        Permission(
            "support",
            "Let our support in, and end its access",
            sensitive=True,
            roles=("owner",),
        ),
        Permission("access_log", "Read what our support looked at, and ask about it"),
        Permission("usage", "See the plan and what is used of it"),
        Permission("view", "See overview, team and senders", roles=EVERYBODY),
        Permission(
            "announcements",
            "Read what Clarion announces about the service",
            roles=EVERYBODY,
        ),
        Permission("service_mails", "Get service messages by mail"),
    ),
    nav=(
        NavItem("Overview", "layout-dashboard", "portal.home", "view", "g h", order=0),
        NavItem("Senders", "phone", "senders.index", "view", "g s", "Account", order=80),
        NavItem("Team", "users-group", "team.index", "view", "g m", "Account", order=82),
        NavItem("Activity", "history", "activity.index", "activity", "g a", "Account", 84),
        NavItem("Review", "shield-check", "review.index", "review", "g v", "Account", 85),
        NavItem(
            "Support access",
            "lifebuoy",
            "support.index",
            "access_log",
            "g x",
            "Account",
            85,
        ),
        NavItem(
            "Announcements",
            "bell",
            "announcements.index",
            "announcements",
            "g y",
            "Account",
            86,
        ),
        NavItem("Usage", "gauge", "usage.index", "usage", "g q", "Account", 86),
        NavItem("Settings", "settings", "settings.index", "settings", "g ,", "Account", 86),
    ),
    cookies=(
        Cookie("__Host-clarion", "Keeps you signed in", "necessary", 30),
        Cookie(
            "__Host-clarion-device",
            "Knows your browser, so that nobody else's opens your account with a stolen"
            " password",
            "necessary",
            180,
        ),
        Cookie(
            "clarion-theme", "Remembers light or dark, once you chose", "necessary", 365
        ),
    ),
)


@hookimpl
def register_portal() -> list[object]:
    """Add the pages of the platform itself."""
    from clarion.portal import (
        activity,
        announcements,
        auth,
        codes,
        lost,
        portal,
        review,
        security,
        senders,
        sending,
        settings,
        support,
        team,
        usage,
    )

    rooms = (
        activity,
        announcements,
        auth,
        codes,
        lost,
        portal,
        review,
        security,
        senders,
        sending,
        settings,
        support,
        team,
        usage,
    )
    return [room.pages for room in rooms]
