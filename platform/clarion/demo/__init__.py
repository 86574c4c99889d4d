"""Clarion shown on one machine, with a simulated WhatsApp; and the whole job, checked."""
