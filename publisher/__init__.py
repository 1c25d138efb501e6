"""A self-hosted newsletter and feed publishing service.

How an entry walks: ``schedule`` fires a slot; ``collect`` asks a source for a harvest and
stores what is new; ``publish`` renders feeds and pages; ``compose`` makes an issue and its
deliveries; ``deliver`` carries them out.  Start reading there.
"""

__version__ = "0.1.0"
