"""A local stand-in for Meta's Cloud API. Shares no code with the transport it tests.

`python -m clarion_whatsapp_cloud.simulator --help` tells how to start it; `control.py`
names what can be asked of it while it runs.
"""
