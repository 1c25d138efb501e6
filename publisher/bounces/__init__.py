"""What comes back: bounces, complaints and wishes to be left alone, by mail or from a provider's webhook."""

from __future__ import annotations

from publisher.bounces.mail import read
from publisher.bounces.providers import Fetch, Provider, Request, providers
from publisher.bounces.returned import Addresses, Returned
from publisher.replies import Fate

__all__ = ["Addresses", "Fate", "Fetch", "Provider", "Request", "Returned", "providers", "read"]
