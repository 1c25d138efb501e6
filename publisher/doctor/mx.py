"""Where mail for a domain goes (RFC 5321 section 5.1)."""

from __future__ import annotations

from publisher.doctor.dns import Dns
from publisher.doctor.remarks import Remarks, note, well, wrong


def judge(domain: str, what: str, dns: Dns) -> Remarks:
    """Whether mail to a domain can arrive.

    Args:
        what: would come there: answers, bounces.

    Raises:
        NetError: DNS did not answer.
    """
    hosts = dns.exchanges(domain)
    reached = [host for host in hosts if host and dns.addresses(host)]
    if reached:
        yield well(f"{what} to {domain} arrive at {reached[0]}")
    elif "" in hosts:  # RFC 7505
        told = f"{domain} says that it takes no mail (a null MX): {what} are lost, and many receivers refuse its mail"
        yield wrong(told, f"Publish an MX record of {domain} that names your mail server, or change the address.")
    elif hosts:
        told = f"no mail server of {domain} has an address, such as {hosts[0]}: {what} are lost"
        yield wrong(told, f"Publish an A or AAAA record of {hosts[0]}, or mend the MX record of {domain}.")
    elif dns.addresses(domain):
        told = f"{domain} has no MX record, so {what} go to the machine of that name"
        yield note(told, f"If it takes no mail, publish an MX record of {domain} that names your mail server.")
    else:
        told = f"{domain} has neither MX nor address: {what} are lost, and many receivers refuse its mail"
        yield wrong(told, f"Publish an MX record of {domain} that names your mail server.")
