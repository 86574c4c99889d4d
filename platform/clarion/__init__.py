"""Clarion: WhatsApp marketing that a business can trust and host itself."""
