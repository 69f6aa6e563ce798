"""What protects the bridge from its clients: rates, bounds of a request, time, and requests at a time.

All of it is kept in this process: several replicas behind one address each allow the whole of a limit.
"""

from app.web.limits.bodies import read_body
from app.web.limits.limits import Limits, Protection

__all__ = ["Limits", "Protection", "read_body"]
