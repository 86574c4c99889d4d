"""Which of this plugin's tables hold something about a person."""


class PersonalData:
    """Names the tables; what each column holds is said where it is declared."""

    def tables(self) -> tuple[str, ...]:
        """Name every table with a person in it."""
        return (
            "contacts_contact",
            "contacts_search",
            "contacts_tagging",
            "contacts_listing",
            "contacts_merge",
            "contacts_likeness",
            "contacts_deed",
            "contacts_bulk",
            "contacts_bulk_part",
            "contacts_member",
            "contacts_consent",
            "contacts_joining",
            "contacts_request",
            "contacts_import",
            "contacts_import_part",
            "contacts_import_row",
        )
