"""What the operator is told of sources that turned ill or well: one message, however many there are.

It is an issue without a number, delivered like any other.
"""

from __future__ import annotations

from collections.abc import Collection

from publisher import health
from publisher.config import Settings
from publisher.health import Complaint
from publisher.model import ALERTS, Clock, Done, Never, Outcome, Work, source_name
from publisher.renderers import alert as renderer
from publisher.store import SourceState, Store, Tx
from publisher.templating import Templates


def alert(work: Work, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> Outcome:
    """Tell the operator of all that turned since they were told last.

    The message and its deliveries are planned in the transaction that notes what was told: nothing is lost, and nothing
    is told twice.

    Returns:
        Done, ``changed`` when there was anything to tell; Never where nobody is to be told.

    Raises:
        RenderError: a template is wrong; what there is to tell waits.
        StoreError: nothing was done; what there is to tell waits.
    """
    alerts, now = settings.alerts, clock()
    if alerts is None:
        return Never("there is something to tell, and the configuration has no `alerts:`")
    with store.write() as tx:
        turned = tx.sources.untold(hold=True)
        tx.sources.tell(turned)
        known = [state for state in turned if state.plan and source_name(state.name) in settings.sources]
        ill = [_complaint(tx, settings, state) for state in known if state.ailment]
        well = [_title(settings, state) for state in known if not state.ailment]
        if not ill and not well:
            return Done("nothing to tell")
        letter = renderer(templates).render(settings.model_site(), ill=ill, well=well, created=now)
        issue = tx.issues.notice(ALERTS, letter[0].text, letter, now)
        tx.deliveries.plan(issue.id, _recipients(settings, alerts.deliver, alerts.recipients), now)
    return Done(letter[0].text, changed=True)


def _recipients(settings: Settings, channels: Collection[str], persons: Collection[str]) -> list[tuple[str, str]]:
    """Each person on each channel that speaks to persons; once on each that speaks to one place."""
    return [
        (channel, recipient)
        for channel in channels
        for recipient in (persons if settings.channels[channel].options.personal else [""])
    ]


def _complaint(tx: Tx, settings: Settings, state: SourceState) -> Complaint:
    last = tx.entries.last_sign(state.name, state.since)
    since = last if state.ailment == health.SILENT else state.failing or state.turned
    return Complaint(
        source=state.name,
        title=_title(settings, state)[1],
        ailment=state.ailment,
        wrong=health.sentence(state.ailment, error=state.error, expires=state.expires, last=last),
        since=since,
        advice=health.advice(state.ailment, state.name, url=state.url),
    )


def _title(settings: Settings, state: SourceState) -> tuple[str, str]:
    """The name and the title of a source."""
    own = settings.source(state.name).title if state.name in settings.sources else ""
    return state.name, own or state.title
