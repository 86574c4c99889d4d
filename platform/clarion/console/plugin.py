"""The staff's own pages: today, accounts, people, staff, roles, log, machine."""

from clarion.plugging import Cookie, NavItem, Permission, Plugin, hookimpl

OWNER = ("owner",)
DUTY = ("owner", "support", "operations", "compliance")


def _may(
    name: str, title: str, roles: tuple[str, ...], *, sensitive: bool = False
) -> Permission:
    return Permission(name, title, sensitive=sensitive, realm="console", roles=roles)


NAV = (  # title, icon, endpoint, permission, keys, section
    ("Today", "layout-dashboard", "ConsoleTodayPanel.index", "overview", "g h", ""),
    ("Accounts", "building", "ConsoleAccountScreen.list", "accounts", "g a", "Customers"),
    ("People", "users", "ConsolePersonScreen.list", "people", "g p", "Customers"),
    ("Plans", "gauge", "ConsolePlanPanel.index", "accounts", "g z", "Customers"),
    (
        "Misuse",
        "alert-triangle",
        "ConsoleMisusePanel.index",
        "misuse",
        "g i",
        "Customers",
    ),
    ("Access", "lifebuoy", "ConsoleSupportPanel.index", "support", "g x", "Customers"),
    (
        "Announcements",
        "bell",
        "ConsoleAnnouncementPanel.index",
        "announcements",
        "g o",
        "Customers",
    ),
    ("Health", "activity", "ConsoleHealthPanel.index", "health", "g e", "Service"),
    ("Senders", "phone", "ConsoleSenderScreen.list", "senders", "g s", "Service"),
    (
        "Campaigns",
        "speakerphone",
        "ConsoleCampaignPanel.index",
        "campaigns",
        "g c",
        "Service",
    ),
    ("Daily limits", "users-group", "ConsoleLimitPanel.index", "limits", "g d", "Service"),
    ("Prices", "credit-card", "ConsolePricePanel.index", "prices", "g m", "Service"),
    ("Queues", "stack-2", "ConsoleQueuePanel.index", "queues", "g q", "Service"),
    ("Webhooks", "webhook", "ConsoleWebhookPanel.index", "webhooks", "g w", "Service"),
    ("Codes", "help-circle", "ConsoleCodePanel.index", "overview", "g k", "Service"),
    ("Backups", "database", "ConsoleBackupPanel.index", "backups", "g b", "Service"),
    ("Plugins", "puzzle", "ConsolePluginPanel.index", "plugins", "g u", "Service"),
    ("Staff", "user-shield", "ConsoleStaffScreen.list", "staff", "g t", "Staff"),
    ("Roles", "key", "ConsoleRolePanel.index", "roles", "g r", "Staff"),
    (
        "Lost factors",
        "shield-lock",
        "ConsoleRecoveryPanel.index",
        "recoveries",
        "g f",
        "Staff",
    ),
    ("Networks", "world", "ConsoleNetworkPanel.index", "networks", "g n", "Staff"),
    ("Log", "history", "ConsoleAuditPanel.index", "audit", "g l", "Staff"),
)


plugin = Plugin(
    name="console",
    title="Console",
    always=True,
    permissions=(
        _may("overview", "See today's page", DUTY),
        _may("accounts", "See accounts", (*DUTY, "billing")),
        _may("accounts_edit", "Open and rename accounts", ("owner", "support")),
        _may(
            "accounts_suspend",
            "Suspend and reopen accounts",
            ("owner", "operations", "compliance"),
            sensitive=True,
        ),
        _may(
            "accounts_limit",
            "Set and lift quotas of accounts",
            ("owner", "operations", "compliance"),
            sensitive=True,
        ),
        _may(
            "plans_edit",
            "Write plans, and choose them for accounts",
            ("owner", "billing"),
            sensitive=True,
        ),
        _may(
            "accounts_notes",
            "Write notes about accounts",
            ("owner", "support", "operations", "compliance"),
        ),
        _may(
            "misuse",
            "See what the watch for misuse noticed",
            ("owner", "operations", "compliance"),
        ),
        _may(
            "misuse_decide",
            "Decide about misuse and appeals",
            ("owner", "compliance"),
            sensitive=True,
        ),
        _may("announcements", "See what customers are told", (*DUTY, "content")),
        _may(
            "announcements_edit",
            "Write announcements to customers",
            ("owner", "operations", "content"),
        ),
        _may(
            "announcements_send",
            "Send announcements and take them back",
            ("owner", "operations"),
            sensitive=True,
        ),
        _may(
            "announcements_approve",
            "Approve a colleague's announcement to many",
            ("owner", "operations", "compliance"),
            sensitive=True,
        ),
        _may("people", "See people", ("owner", "support", "compliance")),
        _may(
            "people_edit", "Disable and enable people", ("owner", "support"), sensitive=True
        ),
        _may(
            "recoveries",
            "See who lost every second factor",
            ("owner", "support", "compliance"),
        ),
        _may(
            "recoveries_decide",
            "Agree that lost second factors are removed",
            ("owner", "support", "compliance"),
            sensitive=True,
        ),
        _may("senders", "See the health of numbers", ("owner", "support", "operations")),
        _may(
            "campaigns",
            "See how campaigns of all accounts go",
            ("owner", "support", "operations", "compliance"),
        ),
        _may(
            "campaigns_hold",
            "Hold a campaign, and let it go",
            ("owner", "operations", "compliance"),
            sensitive=True,
        ),
        _may("health", "See how the system is", ("owner", "operations", "compliance")),
        _may("limits", "See the daily limits of businesses", ("owner", "operations")),
        _may("limits_edit", "Lower a business's daily limit", ("owner", "operations")),
        _may("prices", "See price lists", ("owner", "operations", "billing")),
        _may("prices_edit", "Enter and remove price lists", ("owner", "billing")),
        _may("queues", "See queues and failed jobs", ("owner", "operations")),
        _may(
            "queues_edit",
            "Pause and drain lanes, run failed jobs again",
            ("owner", "operations"),
            sensitive=True,
        ),
        _may("webhooks", "See what providers report", ("owner", "operations")),
        _may(
            "webhooks_replay",
            "Have webhooks applied again",
            ("owner", "operations"),
            sensitive=True,
        ),
        _may(
            "webhooks_reveal",
            "Read a webhook in the clear, under an access",
            ("owner", "operations"),
            sensitive=True,
        ),
        _may(
            "backups", "See how the database stands to its copies", ("owner", "operations")
        ),
        _may(
            "backups_release",
            "Let messages be sent again after a restore",
            ("owner", "operations"),
            sensitive=True,
        ),
        _may("plugins", "See plugins and themes", ("owner", "operations")),
        _may(
            "plugins_edit",
            "Switch plugins on and off, and set them up",
            ("owner", "operations"),
            sensitive=True,
        ),
        _may("staff", "See staff", ("owner", "compliance")),
        _may("staff_edit", "Add and disable staff, give roles", OWNER, sensitive=True),
        _may("networks", "See from where the console opens", ("owner", "compliance")),
        _may("networks_edit", "Say from where the console opens", OWNER, sensitive=True),
        _may("roles", "See roles", ("owner", "compliance")),
        _may("roles_edit", "Make roles and change what they may", OWNER, sensitive=True),
        _may("audit", "Read the log", ("owner", "compliance")),
        _may("audit_export", "Download the log", ("owner", "compliance"), sensitive=True),
        _may("support", "See who of us may look at which account", DUTY),
        _may(
            "support_open",
            "Ask for access to an account's content",
            ("owner", "support", "operations", "compliance"),
            sensitive=True,
        ),
        _may(
            "support_approve",
            "Approve a colleague's emergency access",
            ("owner", "compliance"),
            sensitive=True,
        ),
        _may(
            "support_answer",
            "Answer what customers ask about an access",
            ("owner", "support", "compliance"),
        ),
    ),
    nav=tuple(
        NavItem(*row, order=10 * place, realm="console") for place, row in enumerate(NAV)
    ),
    cookies=(
        Cookie("__Host-clarion-console", "Keeps staff signed in", "necessary", 1),
        Cookie(
            "__Host-clarion-console-device", "Knows a browser of staff", "necessary", 180
        ),
    ),
)


@hookimpl
def register_schedule() -> list[tuple[str, str, object]]:
    """Tell staff of hooks that rest."""
    from clarion.console import jobs

    return [("tell_of_rests", "* * * * *", jobs.tell_of_rests)]


@hookimpl
def register_subscriptions() -> list[tuple[object, object]]:
    """Tell staff what waits for an answer of theirs."""
    from clarion.console import jobs
    from clarion.support import events

    return [
        (events.QuestionAsked, jobs.tell_of_question),
        (events.EmergencyAsked, jobs.tell_of_emergency),
    ]


@hookimpl
def register_console() -> list[object]:
    """Add the console's own screens and panels."""
    from clarion.console import console

    return [*console.VIEWS]
