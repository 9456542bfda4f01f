"""Connections: bounded in what they take, patient in what they send, polite when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from staffetta.doors.imap.settings import CHUNK_BYTES, ImapSettings
from staffetta.mailboxes.access import CellState
from staffetta.mailboxes.port import MailboxDamaged
from staffetta.runtime.faults import FaultMode
from tests.imap_rig import Client, Rig, open_rig

Scenario = Callable[[Rig], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    def run(scenario: Scenario, settings: ImapSettings | None = None) -> None:
        async def hold() -> None:
            async with open_rig(tmp_path, settings) as rig:
                await scenario(rig)

        asyncio.run(hold())

    return run


def test_what_is_sent_ahead_waits_and_is_bounded(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        client = await rig.select()
        client.send(b"a CHECK\r\n")  # runs now
        commands = b"".join(b"b%d NOOP\r\n" % number for number in range(20_000))
        client.send(commands)
        assert not client.transport.is_reading
        assert (await client.read_until(b"b19999"))[-1] == b"b19999 OK NOOP completed"
        await client.settle()
        assert client.transport.is_reading

    play(scenario)


def test_a_slow_reader_is_not_given_more_than_it_takes(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        mail = b"Subject: large\r\n\r\n" + b"x" * 100_000 + b"\r\n"
        await rig.deliver(*[mail] * 50)
        client = await rig.select()
        client.connection.pause_writing()
        client.send(b"a FETCH 1:* (BODY.PEEK[])\r\n")
        await asyncio.sleep(0)
        while len(client.transport.written) < CHUNK_BYTES:
            client.transport.news.clear()
            await client.transport.news.wait()
        assert len(client.transport.written) < 2 * CHUNK_BYTES
        # It holds no thread of the cell meanwhile: others are served.
        other = await rig.select()
        assert (await other.command(b"o CHECK"))[-1].startswith(b"o OK")
        assert len(client.transport.written) < 2 * CHUNK_BYTES
        client.connection.resume_writing()
        lines = await client.read_until(b"a")
        assert lines[-1] == b"a OK FETCH completed"
        assert sum(line.startswith(b"x" * 1000) for line in lines) == 50

    play(scenario)


def test_a_reader_that_takes_nothing_is_dropped(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        client = await rig.sign_in()
        client.connection.pause_writing()
        rig.clock.at_s += 299
        rig.hall.sweep()
        assert not client.transport.is_closed
        rig.clock.at_s += 2
        rig.hall.sweep()
        assert client.transport.is_closed

    play(scenario)


def test_a_client_that_goes_in_the_middle_of_an_answer_leaves_nothing(
    play: Callable[..., None],
) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.deliver(*[b"Subject: large\r\n\r\n" + b"x" * 100_000] * 30)
        client = await rig.select()
        client.connection.pause_writing()
        client.send(b"a FETCH 1:* (BODY.PEEK[])\r\n")
        while len(client.transport.written) < CHUNK_BYTES:
            client.transport.news.clear()
            await client.transport.news.wait()
        client.close()
        await client.settle()
        await asyncio.sleep(0)
        assert rig.hall.connections == 0
        assert rig.metrics.values()["imap_bugs"] == 0

    play(scenario)


def test_limits_on_connections(play: Callable[..., None]) -> None:
    settings = ImapSettings(connections_max=3, connections_per_address_max=1)

    async def scenario(rig: Rig) -> None:
        first = rig.connect("192.0.2.1")
        assert (await first.read_line()).startswith(b"* OK")
        second = rig.connect("192.0.2.1")
        assert await second.read_line() == (
            b"* BYE [UNAVAILABLE] Too many connections from your address"
        )
        await asyncio.sleep(0)  # it is gone, and counts no more
        for _ in range(2):  # loopback is exempt from the limit on addresses
            assert (await rig.connect().read_line()).startswith(b"* OK")
        assert (await rig.connect("192.0.2.9").read_line()).startswith(b"* BYE [UNAVAILABLE]")

    play(scenario, settings)


def test_limit_on_sessions_of_one_mailbox(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.sign_in()
        client = rig.connect()
        await client.read_line()
        lines = await client.command(b'a LOGIN anna@libero.example "correct horse"')
        assert lines[-1] == b"a NO [LIMIT] Too many sessions on this mailbox"
        await rig.sign_in(rig.bruno)

    play(scenario, ImapSettings(sessions_per_mailbox_max=1))


def test_nonsense_has_an_end(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        client = rig.connect()
        await client.read_line()
        client.send(b"x\r\n" * 200)
        await client.settle()
        lines = bytes(client.transport.written).splitlines()
        assert lines[-1] == b"* BYE Too many commands that make no sense"
        assert len(lines) == 52
        assert client.transport.is_closed

    play(scenario)


def test_shutting_down_says_bye_and_lets_commands_end(tmp_path: Path) -> None:
    async def hold() -> None:
        async with open_rig(tmp_path) as rig:
            await rig.deliver(b"Subject: one\r\n\r\n1\r\n")
            idle = await rig.select()
            busy = await rig.select()
            busy.send(b"a FETCH 1 (BODY.PEEK[])\r\n")
            closing = asyncio.ensure_future(rig.hall.close(5))
            assert await idle.read_line() == b"* BYE Server is shutting down"
            lines = await busy.read_until(b"a")
            assert lines[-1] == b"a OK FETCH completed"
            assert await busy.read_line() == b"* BYE Server is shutting down"
            await closing
            late = rig.connect()
            assert (await late.read_line()).startswith(b"* BYE")

    asyncio.run(hold())


def test_a_bug_costs_its_connection_and_no_other(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(rig: Rig) -> None:
        client, other = await rig.select(), await rig.select()

        async def fall(*words: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(rig.accesses.of("c1"), "run", fall)
        client.send(b"a CHECK\r\n")
        assert await client.read_line() == b"* BYE [SERVERBUG] Internal error, please reconnect"
        assert client.transport.is_closed
        assert rig.metrics.values()["imap_bugs"] == 1
        assert (await other.command(b"o NAMESPACE"))[-1].startswith(b"o OK")

    play(scenario)


def test_a_damaged_mailbox_is_unavailable_alone_and_reported(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(rig: Rig) -> None:
        opened = rig.cell.open

        def damaged(ref):  # type: ignore[no-untyped-def]
            if ref.mailbox == rig.anna.mailbox:
                raise MailboxDamaged(ref.mailbox, "garbage")
            return opened(ref)

        anna, bruno = await rig.sign_in(), await rig.sign_in(rig.bruno)
        monkeypatch.setattr(rig.cell, "open", damaged)
        lines = await anna.command(b"a SELECT INBOX")
        assert lines[0].startswith(b"* OK [ALERT]")
        assert lines[-1].startswith(b"a NO [UNAVAILABLE]")
        assert rig.troubled == [rig.anna.mailbox]
        assert (await bruno.command(b"b SELECT INBOX"))[-1].startswith(b"b OK")
        assert rig.states == []

    play(scenario)


def test_the_alert_comes_back_the_next_day_in_the_brands_language(
    play: Callable[..., None],
) -> None:
    async def scenario(rig: Rig) -> None:
        client = await rig.sign_in(rig.bruno)
        rig.volume.gate.break_(FaultMode.ERROR)
        assert len(await client.command(b"z SELECT INBOX")) == 1  # it might be a passing fault
        await rig.reach(CellState.DOWN)
        first = await client.command(b"a SELECT INBOX")
        assert first[0].startswith(b"* OK [ALERT] Part of our storage is not working")
        assert b"http" not in first[0]
        assert len(await client.command(b"b SELECT INBOX")) == 1
        rig.clock.at_s += 86_400
        assert len(await client.command(b"c SELECT INBOX")) == 2

    play(scenario)


def test_settings_may_change_under_way(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        client: Client = rig.connect()
        await client.read_line()
        rig.hall.settings = replace(rig.hall.settings, signed_out_s=5)
        rig.clock.at_s += 6
        rig.hall.sweep()
        assert await client.read_line() == b"* BYE Too long without signing in"

    play(scenario)


def test_news_for_everybody_is_told_to_everybody(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        clients = [await rig.select() for _ in range(12)]
        for client in clients:
            client.send(b"i IDLE\r\n")
            assert await client.read_line() == b"+ idling"
        await rig.deliver(b"Subject: one\r\n\r\n1\r\n")
        for client in clients:
            assert await client.read_line() == b"* 1 EXISTS"

    play(scenario, ImapSettings(woken_at_once=5))


def test_a_look_that_could_not_be_had_is_tried_again(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        client = await rig.select()
        client.send(b"i IDLE\r\n")
        assert await client.read_line() == b"+ idling"
        await client.settle()
        await rig.deliver(b"Subject: one\r\n\r\n1\r\n")
        rig.volume.gate.break_(FaultMode.ERROR)
        rig.hall.hear((rig.anna.mailbox,))
        await rig.reach(CellState.DOWN)
        await rig.mend_cell()
        rig.clock.at_s += 2
        rig.hall.sweep()
        lines = [await client.read_line()]
        while lines[-1] != b"* 1 EXISTS":
            lines.append(await client.read_line())

    play(scenario)


def test_idlers_look_for_themselves_where_no_notification_came(play: Callable[..., None]) -> None:
    async def scenario(rig: Rig) -> None:
        clients = [await rig.select() for _ in range(5)]
        for client in clients:
            client.send(b"i IDLE\r\n")
            assert await client.read_line() == b"+ idling"
        hear = rig.hall.hear
        rig.hall.hear = lambda mailboxes: None  # type: ignore[method-assign]
        await rig.deliver(b"Subject: one\r\n\r\n1\r\n")
        rig.hall.hear = hear  # type: ignore[method-assign]
        rig.clock.at_s += 31
        rig.hall.sweep()
        for client in clients:
            assert await client.read_line() == b"* 1 EXISTS"

    play(scenario, ImapSettings(woken_at_once=2))
