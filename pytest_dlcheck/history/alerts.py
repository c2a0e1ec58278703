"""What somebody should be told: kept with its state, so that it is told once, and by cause."""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.behaviour import Turn
from pytest_dlcheck.history.causes import described, grouped, moved
from pytest_dlcheck.history.detect import Change
from pytest_dlcheck.history.examine import CheckReport, LineReport, Whole, examine
from pytest_dlcheck.history.store import History

__all__ = ["OPEN", "Alert", "acknowledge", "alerts", "groups", "mute", "mutes", "note", "update"]

SUSPECT, UNCONFIRMED, CONFIRMED, REFUTED, OVER = "suspect", "unconfirmed", "confirmed", "refuted", "over"
OPEN = (CONFIRMED, UNCONFIRMED)
"""States that are told; a suspect is only measured again, what was refuted or is over is kept and not told."""

# A change is the same one as long as where it began moves by no more days; older ones than these are not told any more.
SAME = 5
FRESH = 30
SUSPICION = "suspicion"
WORSE = ("slower", "more")
BETTER = ("newly passing", "faster", "less")


_NOT_YET = "to be measured again"
_DRIFT = "a slow drift, which no single night began"


@dataclass(frozen=True)
class Alert:
    """One thing to tell.

    Attributes:
        id: its number.
        kind: `slower`, `faster`, `more`, `less`, `spread`, `suspicion`, or one of `behaviour.KINDS`.
        what: `line:ID` or `check:ID`.
        title: what a person calls it.
        state: `confirmed`, `unconfirmed`, `suspect`, `refuted` or `over`.
        began: the run at which it began.
        opened: the run that showed it.
        cause: what else changed there.
        evidence: figures.
        acknowledged: when, and by whom; None if nobody has yet.
        note: what they said.
        muted: why it is muted; None if it is not.
    """

    id: int
    kind: str
    what: str
    title: str
    state: str
    began: int
    opened: int
    cause: str
    evidence: Mapping[str, Any]
    acknowledged: str | None
    note: str | None
    muted: str | None = None

    @property
    def better(self) -> bool:
        return self.kind in BETTER

    @property
    def loud(self) -> bool:
        """Whether it is for somebody to act on."""
        return self.state in OPEN and not self.better and self.acknowledged is None and self.muted is None


@dataclass(frozen=True)
class _Found:
    kind: str
    what: str
    title: str
    state: str
    began: int
    opened: int
    cause: str
    evidence: Mapping[str, Any]


def update(history: History) -> Whole:
    """Brings the alerts up to what the runs show; gives what they were read from."""
    cleared = {int(line): int(place) for line, place in json.loads(history.setting("cleared") or "{}").items()}
    whole = examine(history, cleared)
    found = [each for report in whole.lines for each in _of_line(report, whole)]
    found += [each for check in whole.checks for each in _of_check(check, whole)]
    with history.transaction():
        _keep(history, whole, found)
    return whole


def _cause(whole: Whole, before: int, after: int, names: tuple[Mapping[str, str], Mapping[str, str]]) -> str:
    return described(moved(*names), (whole.runs[before].commit, whole.runs[after].commit))


def _of_line(report: LineReport, whole: Whole) -> list[_Found]:
    points = report.line.points
    what, title = f"line:{report.line.id}", report.line.key.title()
    days = whole.days()
    found = []
    for change in report.changes:
        if days[points[change.index].run] < max(days.values()) - FRESH and change.kind != "trend":
            continue
        first, last = points[change.index], points[max(0, change.index - 1)]
        # A drift's first night is where the window begins: whatever moved there is not its cause.
        cause = (
            _DRIFT
            if change.kind == "trend"
            else _cause(
                whole, whole.place(last.run), whole.place(first.run), (dict(last.series.versions), dict(first.series.versions))
            )
        )
        found.append(
            _Found(_kind(report, change), what, title, UNCONFIRMED, first.run, points[-1].run, cause, _told(report, change))
        )
    if report.suspicion is not None:
        first = points[-report.suspicion.nights]
        evidence = {**asdict(report.suspicion), "becomes": WORSE[report.line.key.metric != "time"]}
        found.append(_Found(SUSPICION, what, title, SUSPECT, first.run, points[-1].run, _NOT_YET, evidence))
    return found


def _kind(report: LineReport, change: Change) -> str:
    if change.kind == "spread":
        return "spread"
    names = ("slower", "faster") if report.line.key.metric == "time" else ("more", "less")
    return names[change.effect < 0]


def _told(report: LineReport, change: Change) -> dict[str, Any]:
    runs = [each.run for each in report.line.points]
    return {
        "kind": change.kind,
        "effect": change.effect,
        "before": change.before,
        "after": change.after,
        "p": change.p,
        "votes": list(change.votes),
        "between": [runs[max(0, change.earliest - 1)], runs[change.latest]],
        "ratios": report.ratios,
        "floor": report.floor,
    }


def _of_check(report: CheckReport, whole: Whole) -> list[_Found]:
    """The last turn of a check, as long as it is fresh."""
    if not report.turns:
        return []
    turn = report.turns[-1]
    if dt.date.fromisoformat(whole.runs[turn.after.run].started[:10]) < whole.newest - dt.timedelta(days=FRESH):
        return []
    since = [each for each in report.seen if each.run >= turn.after.run]
    if turn.kind == "error size" and since[-1] is not turn.after:
        return []
    check = report.check
    rest = ", ".join(filter(None, [check.property.replace("_", " "), check.product, check.dtype, check.mode, check.api]))
    title = f"{check.subject}, {rest}"
    # Cases are drawn: what a second run shows too is no draw.
    state = CONFIRMED if sum(each.verdict == turn.after.verdict for each in since) > 1 else UNCONFIRMED
    cause = _cause(whole, turn.before.run, turn.after.run, _versions(whole, turn, check.product))
    evidence = {"before": turn.before.verdict, "after": turn.after.verdict, "errors": [turn.before.error, turn.after.error]}
    began, opened = whole.runs[turn.after.run].id, whole.runs[since[-1].run].id
    return [_Found(turn.kind, f"check:{report.id}", title, state, began, opened, cause, evidence)]


def _versions(whole: Whole, turn: Turn, product: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    def of(place: int) -> Mapping[str, str]:
        products = whole.products.get(whole.runs[place].id, ())
        return next((each.versions for each in products if each.name == product), {})

    return of(turn.before.run), of(turn.after.run)


def _keep(history: History, whole: Whole, found: Sequence[_Found]) -> None:
    days = whole.days()
    known = [each for each in alerts(history) if each.state != OVER]
    matched: set[int] = set()
    for each in found:
        same = next(
            (
                other
                for other in known
                if other.id not in matched
                and other.what == each.what
                and (other.kind == each.kind or {other.kind, each.kind} <= {SUSPICION, *WORSE})
                and abs(days.get(other.began, 0) - days[each.began]) <= SAME
            ),
            None,
        )
        values = (each.kind, each.what, each.title, each.state, each.began, each.opened, each.cause, json.dumps(each.evidence))
        if same is None:
            history.connection.execute(
                "INSERT INTO alerts (kind, what, title, state, began, opened, cause, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            continue
        matched.add(same.id)
        if same.state in (SUSPECT, UNCONFIRMED):
            history.connection.execute(
                "UPDATE alerts SET kind = ?, state = ?, cause = ?, began = ?, evidence = ? WHERE id = ?",
                (each.kind, each.state, each.cause, each.began, json.dumps(each.evidence), same.id),
            )
    for other in known:
        if other.id not in matched and other.state in (SUSPECT, UNCONFIRMED, CONFIRMED) and _is_over(other, found, days):
            history.connection.execute("UPDATE alerts SET state = ? WHERE id = ?", (OVER, other.id))


def _is_over(alert: Alert, found: Sequence[_Found], days: Mapping[int, int]) -> bool:
    """Whether what was told is no longer so; what a paired rerun confirmed stays until the line changes back, or it is old."""
    if alert.state != CONFIRMED or not alert.what.startswith("line:"):
        return True
    since = days.get(alert.began, 0)
    back = any(each.what == alert.what and each.kind in BETTER and days[each.began] > since for each in found)
    return back or since < max(days.values()) - FRESH


def alerts(history: History) -> list[Alert]:
    """All of them, the newest first, with what mutes them now."""
    silent = [each for each in mutes(history) if each["active"]]
    names = ("id", "kind", "what", "title", "state", "began", "opened", "cause", "evidence", "acknowledged", "note")
    rows = history.connection.execute(f"SELECT {', '.join(names)} FROM alerts ORDER BY id DESC")  # noqa: S608 - ours
    made = []
    for row in rows:
        kept = dict(zip(names, row, strict=True))
        muted = next((each["reason"] for each in silent if fnmatch.fnmatchcase(kept["title"], each["pattern"])), None)
        made.append(Alert(**{**kept, "evidence": json.loads(kept["evidence"]), "muted": muted}))
    return made


def groups(whole: Whole, told: Sequence[Alert]) -> list[tuple[int, str, list[Alert]]]:
    """Alerts by what they may be due to: the place of the run, the cause, the alerts."""
    days = whole.days()
    found = grouped([(days[each.began], each.cause, each) for each in told])
    return [(whole.place(kept[0].began), cause, kept) for _, cause, kept in found]


def settle(history: History, alert: Alert, state: str, evidence: Mapping[str, Any]) -> None:
    """Keeps what a paired rerun said of an alert."""
    with history.transaction():
        history.connection.execute(
            "UPDATE alerts SET state = ?, kind = ?, evidence = ? WHERE id = ?",
            (
                state,
                alert.evidence["becomes"] if alert.kind == SUSPICION and state == CONFIRMED else alert.kind,
                json.dumps({**alert.evidence, "rerun": dict(evidence)}),
                alert.id,
            ),
        )
        if state == REFUTED and alert.what.startswith("line:"):
            line = int(alert.what.removeprefix("line:"))
            count = history.connection.execute(
                "SELECT count(*) FROM points JOIN series ON series.id = series WHERE line = ? AND aa = 0", (line,)
            ).fetchone()[0]
            cleared = {**json.loads(history.setting("cleared") or "{}"), str(line): count}
            history.connection.execute("INSERT OR REPLACE INTO settings VALUES ('cleared', ?)", (json.dumps(cleared),))


def acknowledge(history: History, numbers: Sequence[int], said: str, by: str) -> None:
    """Somebody has seen them.

    Raises:
        DlcheckError: there is none of a number.
    """
    now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="minutes")
    with history.transaction():
        for number in numbers:
            found = history.connection.execute(
                "UPDATE alerts SET acknowledged = ?, note = ? WHERE id = ? RETURNING id", (f"{now} {by}".strip(), said, number)
            ).fetchone()
            if found is None:
                raise DlcheckError(f"there is no alert {number}; `dlcheck alerts {history.path}` lists them")


def mute(history: History, pattern: str, reason: str, until: str) -> None:
    """Keeps alerts whose title matches quiet until a day.

    Raises:
        DlcheckError: there is no reason, or the day is none or over.
    """
    try:
        day = dt.date.fromisoformat(until)
    except ValueError:
        raise DlcheckError(f"{until!r} is no day; write it as 2026-12-31") from None
    today = dt.datetime.now(dt.timezone.utc).date()
    if day < today:
        raise DlcheckError(f"{until} is over: a mute needs a day to come")
    if not reason.strip():
        raise DlcheckError("a mute needs a reason")
    with history.transaction():
        history.connection.execute(
            "INSERT INTO mutes (pattern, reason, until, made) VALUES (?, ?, ?, ?)", (pattern, reason, until, today.isoformat())
        )


def mutes(history: History) -> list[dict[str, Any]]:
    """All of them; those whose day is over are no longer active."""
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    rows = history.connection.execute("SELECT pattern, reason, until FROM mutes ORDER BY until")
    return [{"pattern": pattern, "reason": reason, "until": until, "active": until >= today} for pattern, reason, until in rows]


def note(history: History, day: str, text: str) -> None:
    """Writes something on the time axis of every chart.

    Raises:
        DlcheckError: the day is none.
    """
    try:
        at = dt.datetime.fromisoformat(day).date().isoformat()
    except ValueError:
        raise DlcheckError(f"{day!r} is no day; write it as 2026-12-31") from None
    with history.transaction():
        history.connection.execute("INSERT INTO annotations (at, text) VALUES (?, ?)", (at, text))
