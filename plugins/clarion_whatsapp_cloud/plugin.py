"""WhatsApp by Meta's Cloud API: sends templates, hears what became of them."""

from typing import Any

from clarion.plugging import Host, Plugin, hookimpl

plugin = Plugin(
    name="whatsapp_cloud",
    title="WhatsApp Cloud API",
    hosts=(
        Host(
            "graph.facebook.com",
            "Sends the messages of your campaigns",
            data=("contact.phone", "message.body"),
        ),
    ),
    always=True,
)


@hookimpl
def register_transports() -> list[Any]:
    """Send through Meta's Cloud API."""
    from clarion_whatsapp_cloud.transport import WhatsAppCloud

    return [WhatsAppCloud]


@hookimpl
def register_commands() -> list[Any]:
    """Add `clarion simulator`: a Cloud API on this machine, for trials and tests."""
    import runpy
    import sys

    import click

    @click.command(
        "simulator",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def simulator(words: tuple[str, ...]) -> None:
        """Run a Cloud API simulator on this machine."""
        sys.argv = ["clarion simulator", *words]
        runpy.run_module("clarion_whatsapp_cloud.simulator", run_name="__main__")

    return [simulator]
