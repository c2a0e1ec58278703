"""Takes alerts to where people are: Markdown, annotations on GitHub, a chat's webhook."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.alerts import CONFIRMED, Alert, groups
from pytest_dlcheck.history.examine import Whole
from pytest_dlcheck.history.store import History
from pytest_dlcheck.report.markdown import table_lines

__all__ = ["commands", "effect_of", "markdown", "post", "unposted"]

TOLD = "posted"
TIMEOUT_S = 30.0
# GitHub shows ten annotations of a kind in a step; chats cut long messages.
MOST_ANNOTATED = 10
MOST_OF_A_CAUSE = 5
MOST_LINES = 30


def effect_of(alert: Alert) -> str:
    """What is known of it, in a few words."""
    evidence = alert.evidence
    if alert.what.startswith("check:"):
        before, after = evidence["errors"]
        if alert.kind == "error size":
            return f"{before:.2g} to {after:.2g} of its tolerance"
        return f"{evidence['before']} to {evidence['after']}"
    if alert.kind == "spread":
        return f"scatters {1 + evidence['effect']:.1f} times as much"
    text = f"{evidence['effect']:+.1%}"
    if evidence.get("kind") == "trend":
        text += ", slowly"
    if evidence.get("kind") == "step":
        text += f", {len(evidence['votes'])} of 5 other tests agree"
    return text


def _count(told: Sequence[Alert]) -> str:
    return f"{len(told)} {'change' if len(told) == 1 else 'changes'} to look at"


def markdown(whole: Whole, told: Sequence[Alert]) -> str:
    """For a comment on a pull request or a job's summary."""
    lines = [f"## {_count(told)}" if told else "## Nothing changed that should be looked at", ""]
    for place, cause, found in groups(whole, told):
        # The heading is a table's, so that nothing in a version or a commit is taken for markup.
        rows: list[list[object]] = [[each.id, each.state, f"{each.kind}: {each.title}", effect_of(each)] for each in found]
        lines += table_lines(["id", "state", f"{whole.runs[place].started[:10]}: {cause}", ""], rows)
    return "\n".join(lines) + "\n"


def _escaped(text: str, more: Mapping[str, str] | None = None) -> str:
    """As GitHub's workflow commands want it: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts."""
    for plain, code in {"%": "%25", "\r": "%0D", "\n": "%0A", **(more or {})}.items():
        text = text.replace(plain, code)
    return text


def commands(told: Sequence[Alert]) -> list[str]:
    """Lines that GitHub shows beside a run: errors where it is confirmed, warnings where not, notices of what is better."""
    lines = []
    # What is cut is what matters least.
    told = sorted(told, key=lambda each: (each.better, each.state != CONFIRMED))
    for each in told[:MOST_ANNOTATED]:
        level = "notice" if each.better else "error" if each.state == CONFIRMED else "warning"
        title = _escaped(f"{each.kind}: {each.title}", {":": "%3A", ",": "%2C"})
        lines.append(f"::{level} title={title}::{_escaped(f'{effect_of(each)}; {each.cause} (alert {each.id})')}")
    if len(told) > MOST_ANNOTATED:
        lines.append(f"::notice title=dlcheck::and {len(told) - MOST_ANNOTATED} more: see the summary or the dashboard")
    return lines


def unposted(history: History, told: Sequence[Alert]) -> list[Alert]:
    """Those that no chat was told of in the state that they are in now."""
    known = set(json.loads(history.setting(TOLD) or "[]"))
    return [each for each in told if f"{each.id} {each.state}" not in known]


def _message(whole: Whole, new: Sequence[Alert], link: str | None) -> str:
    """By cause, a few of each: what a chat shows without a click."""
    lines = [_count(new)]
    for place, cause, found in groups(whole, new):
        lines.append(f"{whole.runs[place].started[:10]}: {cause}")
        lines += [f"- {each.kind} ({each.state}): {each.title}, {effect_of(each)}" for each in found[:MOST_OF_A_CAUSE]]
        lines += [f"- and {len(found) - MOST_OF_A_CAUSE} more"] if len(found) > MOST_OF_A_CAUSE else []
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "and more: `dlcheck alerts` lists all of them"]
    return "\n".join([*lines, *([link] if link else [])])


def post(history: History, whole: Whole, url: str, told: Sequence[Alert], link: str | None = None) -> int:
    """Tells a chat of what it has not been told yet, and remembers that; gives how many. Says nothing where nothing is new.

    The message is JSON with the same text as `text` (Slack, Mattermost, Google Chat, Teams) and `content` (Discord).

    Args:
        history: an open one, to write to.
        whole: what was read from it.
        url: the webhook, http or https.
        told: what is open.
        link: to the dashboard, at the end of the message.

    Raises:
        DlcheckError: the address is none, or whoever is there did not take it; then the next run tries again.
    """
    if not url.startswith(("http://", "https://")):
        raise DlcheckError("the webhook is no address that begins with http:// or https://")
    new = unposted(history, told)
    if not new:
        return 0
    text = _message(whole, new, link)
    body: dict[str, Any] = {"text": text, "content": text}
    try:
        request = urllib.request.Request(  # noqa: S310 - http and https alone, as seen above
            url, json.dumps(body).encode("utf-8"), {"Content-Type": "application/json", "User-Agent": "dlcheck"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            pass
    except (OSError, ValueError) as error:
        # The address itself is a secret.
        why = f"it answered {error.code}" if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
        raise DlcheckError(f"the webhook was not told: {why}") from None
    known = sorted({*json.loads(history.setting(TOLD) or "[]"), *(f"{each.id} {each.state}" for each in new)})
    with history.transaction():
        history.connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (TOLD, json.dumps(known)))
    return len(new)
