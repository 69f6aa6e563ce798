"""The embedded platform: the identity platform's whole API over SQLite, for a start without settings."""

from app.embedded.app import create_platform
from app.embedded.apps import AppCredentials
from app.embedded.directory import Directory
from app.embedded.schemas import IdentitySource, UserStatus
from app.embedded.seeding import SeedPlan
from app.embedded.sending import Send
from app.embedded.settings import PlatformSettings
from app.embedded.webhooks import Webhook

__all__ = [
    "AppCredentials",
    "Directory",
    "IdentitySource",
    "PlatformSettings",
    "SeedPlan",
    "Send",
    "UserStatus",
    "Webhook",
    "create_platform",
]
