"""Stories that several sources tell."""

from renderer_samples import entry

from publisher.model import Mention

PAPER = Mention(source="paper", title="The Paper & Post", link="https://paper.example.org/bridge?a=1&b=2")
RADIO = Mention(source="radio", title="Radio <One>")

ENTRIES = (
    entry(
        3,
        title="Council votes for the bridge",
        link="https://blog.example.org/bridge",
        summary="<p>It is to be built.</p>",
        content="<p>It is to be built, and soon.</p>",
        also_in=(PAPER, RADIO),
    ),
    entry(
        2,
        title="Fish market moves",
        link="https://blog.example.org/fish",
        summary="<p>To pier 4.</p>",
        also_in=(PAPER,),
    ),
    entry(
        1,
        title="Fair",
        link="https://blog.example.org/fair",
        also_in=(Mention(source="odd", title="\x00\n", link="javascript:alert(1)"),),
    ),
)
