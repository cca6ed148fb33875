"""Signed messages about changed pages: told at least once, believed only when they are ours."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kb_pictures import add_pictures, rewrite

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.collection import Collection
from kb_export.errors import BadTarget
from kb_export.signatures import BadSignature, read_secrets, sign, verify
from kb_export.targets import open_target, target_name
from kb_export.targets.webhook import ATTEMPTS, CHANGES_PER_MESSAGE, WebhookTarget


def new_secret(size: int = 32) -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(size)).decode()}"


SECRET = new_secret()


class Receiver:
    """A real web server that keeps what it was sent.

    Attributes:
        statuses: what to answer, in order; 204 when there are none left.
        headers: sent with every answer.
        verdicts: the id of each message that `verify` believed, in order.
    """

    def __init__(self, secret: str = SECRET) -> None:
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.verdicts: list[str] = []
        self.now: Callable[[], float] = lambda: 1_000_000.0
        receiver = self
        keys = read_secrets(secret)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append((headers, body))
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                try:
                    message = verify(keys, headers, body, now=receiver.now())
                except BadSignature:
                    status = 401
                if 200 <= status < 300:
                    receiver.verdicts.append(message)
                if status == 0:  # hang up without a word
                    self.connection.close()
                    return
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?tenant=7"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def changes(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for _, body in self.received:
            found += json.loads(body)["data"]["changes"]
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def knowledge(
    gallery: Gallery, receiver: Receiver, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> Knowledge:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    monkeypatch.setenv("AGENT_TOOLS_KB_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("AGENT_TOOLS_KB_WEBHOOK_SECRET", SECRET)

    def opened(*arguments: Any) -> Any:
        target = open_target(*arguments)
        assert isinstance(target, WebhookTarget)
        target._sleep = slept.append
        target._clock = lambda: 1_000_000.0
        return target

    monkeypatch.setattr("agent_tools.knowledge.open_target", opened)
    return Knowledge(
        gallery,
        Settings(data=gallery.data_dir, kb="webhook:shop", public_url="https://shop.example/"),
    )


def owed(gallery: Gallery) -> int:
    return Collection(gallery.data_dir / "kb-pages", "shop").owed()


def test_every_change_is_told_with_stable_addresses_under_a_valid_signature(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    assert knowledge.export().problem is None
    rewrite(gallery, first.image_id, caption="Newer words.")
    knowledge.export()
    knowledge.remove([second.image_id])
    told = [(change["change"], change["image_id"]) for change in receiver.changes]
    assert set(told[:2]) == {("changed", first.image_id), ("changed", second.image_id)}
    assert told[2:] == [("changed", first.image_id), ("deleted", second.image_id)]
    pages = {c["page_url"] for c in receiver.changes if c["image_id"] == first.image_id}
    assert pages == {f"https://shop.example/kb/shop/pictures/{first.sha256[:24]}"}
    assert len({change["record_id"] for change in receiver.changes}) == 3
    assert len(receiver.verdicts) == len(set(receiver.verdicts)) == 3
    headers, body = receiver.received[0]
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["type"] == "kb.pictures.changed"
    assert SECRET.encode() not in body and b"X-Amz" not in body


def test_exporting_twice_tells_nothing_twice(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    add_pictures(gallery, "red teapot")
    knowledge.export()
    knowledge.export()
    assert len(receiver.received) == 1


def test_many_changes_travel_in_small_messages(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    count = 2 * CHANGES_PER_MESSAGE + 3
    add_pictures(gallery, *(f"teapot {n}" for n in range(count)))
    knowledge.export()
    assert len(receiver.received) == 3
    assert len({change["sha256"] for change in receiver.changes}) == count
    assert max(len(body) for _, body in receiver.received) < 20_000


def test_a_busy_receiver_is_asked_again_with_the_same_message_and_random_patience(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver, slept: list[float]
) -> None:
    receiver.statuses = [503, 0, 429]
    add_pictures(gallery, "red teapot")
    assert knowledge.export().problem is None
    assert len(receiver.received) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    assert len({body for _, body in receiver.received}) == 1
    assert len(receiver.verdicts) == 1
    assert all(0 <= wait <= limit for wait, limit in zip(slept, (1, 4, 16), strict=True))
    assert len(set(slept)) == 3


def test_a_receiver_that_names_its_time_is_given_it_within_reason(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver, slept: list[float]
) -> None:
    receiver.statuses = [429, 503]
    receiver.headers = {"Retry-After": "7"}
    add_pictures(gallery, "red teapot")
    knowledge.export()
    assert slept == [7.0, 7.0]
    slept.clear()
    receiver.statuses = [429]
    receiver.headers = {"Retry-After": "999999"}
    add_pictures(gallery, "blue teapot")
    knowledge.export()
    assert slept == [30.0]


def test_what_a_receiver_did_not_take_is_told_by_the_next_run_under_its_first_id(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    receiver.statuses = [500] * ATTEMPTS
    report = knowledge.export()
    assert len(report.put) == 2
    assert report.problem is not None and report.problem.retryable
    assert "answered 500; 2 changes wait" in str(report.problem)
    rewrite(gallery, second.image_id, caption="Newer words.")
    assert knowledge.export().problem is None
    knowledge.remove([first.image_id])
    before, after = receiver.received[0], receiver.received[ATTEMPTS]
    assert before[0]["webhook-id"] == after[0]["webhook-id"] and before[1] == after[1]
    told = [(change["change"], change["image_id"]) for change in receiver.changes[-2:]]
    assert told == [("changed", second.image_id), ("deleted", first.image_id)]
    assert owed(gallery) == 0


def test_only_the_newest_of_several_untold_changes_is_told(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = add_pictures(gallery, "red teapot")
    monkeypatch.setattr(WebhookTarget, "flush", lambda self: None)  # as if killed before it
    for words in ("one", "two", "three"):
        rewrite(gallery, record.image_id, caption=f"Words {words}.")
        knowledge.export()
    assert owed(gallery) == 1
    monkeypatch.undo()
    monkeypatch.setenv("AGENT_TOOLS_KB_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("AGENT_TOOLS_KB_WEBHOOK_SECRET", SECRET)
    knowledge.export()
    (change,) = receiver.changes
    assert change["record_id"] in Collection(gallery.data_dir / "kb-pages", "shop").record_ids()


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (301, "Redirects are not followed"),
        (307, "Redirects are not followed"),
        (400, "receiver's log"),
        (403, "same secret"),
        (410, "AGENT_TOOLS_KB_WEBHOOK_URL"),
    ],
)
def test_a_refusal_is_not_repeated_and_says_what_to_do(
    status: int, advice: str, gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    receiver.statuses = [status]
    receiver.headers = {"Location": receiver.url}
    add_pictures(gallery, "red teapot")
    report = knowledge.export()
    assert report.problem is not None and not report.problem.retryable
    assert advice in str(report.problem)
    assert len(receiver.received) == 1 and owed(gallery) == 1


def test_a_receiver_with_another_secret_or_a_clock_of_its_own_refuses(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    add_pictures(gallery, "red teapot")
    receiver.now = lambda: 1_000_000.0 + 301
    report = knowledge.export()
    assert report.problem is not None and "its clock" in str(report.problem)
    receiver.now = lambda: 1_000_000.0 + 299
    assert knowledge.export().problem is None


def test_a_receiver_that_is_away_loses_nothing(
    gallery: Gallery, knowledge: Knowledge, receiver: Receiver
) -> None:
    add_pictures(gallery, "red teapot")
    receiver.server.shutdown()
    receiver.server.server_close()
    report = knowledge.export()
    assert report.problem is not None and report.problem.retryable
    assert "ConnectionRefusedError" in str(report.problem) and owed(gallery) == 1


def test_the_specifications_own_example_is_signed_the_same() -> None:
    # The example of the reference libraries' documentation.
    keys = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signatures_are_believed_only_for_the_same_id_time_and_body() -> None:
    old, new = read_secrets(f"{new_secret()} {new_secret(64)}")
    headers = sign([old, new], "msg_1", 5000, b"body")
    for keys in ([old], [new], [new, old]):
        assert verify(keys, headers, b"body", now=5100) == "msg_1"
    others = read_secrets(new_secret(24))
    attempts: list[tuple[Any, dict[str, str], bytes, float]] = [
        (others, headers, b"body", 5000),
        ([old], headers, b"body ", 5000),
        ([old], {**headers, "webhook-id": "msg_2"}, b"body", 5000),
        ([old], {**headers, "webhook-timestamp": "5001"}, b"body", 5000),
        ([old], {**headers, "webhook-timestamp": "5e3"}, b"body", 5000),
        ([old], {**headers, "webhook-signature": ""}, b"body", 5000),
        ([old], {**headers, "webhook-signature": "v1,"}, b"body", 5000),
        ([old], {**headers, "webhook-signature": "v1,ü"}, b"body", 5000),
        ([old], {**headers, "webhook-signature": headers["webhook-signature"][3:]}, b"body", 5000),
        ([old], {}, b"body", 5000),
        ([old], headers, b"body", 5301),
        ([old], headers, b"body", 4699),
        ([], headers, b"body", 5000),
    ]
    for keys, given, body, now in attempts:
        with pytest.raises(BadSignature):
            verify(keys, given, body, now=now)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://receiver.example/hook", True),
        ("https://receiver.example:8443/hook?x=1", True),
        ("http://127.0.0.1:9/hook", True),
        ("http://[::1]:9/hook", True),
        ("http://localhost/hook", True),
        ("http://receiver.example/hook", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://10.0.0.1/hook", False),
        ("ftp://receiver.example/", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://user:password@receiver.example/", False),
        ("https://receiver.example/#x", False),
        ("https://receiver.example/a b", False),
        ("https://receiver.example/\r\nX: y", False),
        ("https://receiver.example:port/", False),
        ("receiver.example", False),
    ],
)
def test_messages_go_to_https_or_to_this_machine_only(url: str, taken: bool, tmp_path: Any) -> None:
    settings = {
        "url": url, "secret": SECRET, "root": str(tmp_path), "public_url": "https://a.example",
    }  # fmt: skip
    if taken:
        assert open_target("webhook:shop", settings).name == "webhook:shop"
        return
    with pytest.raises(BadTarget) as caught:
        open_target("webhook:shop", settings)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "geheim", "whsec_%%%", new_secret(23), new_secret(65), f"{SECRET} nonsense"],
    ids=["empty", "prefix", "plain", "no-base64", "short", "long", "two-words"],
)
def test_a_weak_or_malformed_secret_is_refused_and_never_repeated(
    secret: str, tmp_path: Any
) -> None:
    settings = {"url": "https://a.example", "root": str(tmp_path), "public_url": "https://a.b"}
    with pytest.raises(BadTarget, match="AGENT_TOOLS_KB_WEBHOOK_SECRET") as caught:
        open_target("webhook:shop", {**settings, "secret": secret})
    assert secret not in str(caught.value) or secret in ("", "whsec_")


@pytest.mark.parametrize("name", ["", "Shop", "a/b", "..", "a.b", "-a", "a-", "ä", "a" * 64])
@pytest.mark.parametrize("scheme", ["pages", "webhook"])
def test_a_malformed_collection_name_is_refused(scheme: str, name: str) -> None:
    with pytest.raises(BadTarget, match="names no collection"):
        target_name(f"{scheme}:{name}")


def test_a_webhook_without_a_public_address_says_what_is_missing(tmp_path: Any) -> None:
    settings = {"url": "https://a.example", "secret": SECRET, "root": str(tmp_path)}
    with pytest.raises(BadTarget, match="AGENT_TOOLS_PUBLIC_URL"):
        open_target("webhook:shop", settings)


def test_two_exporters_of_one_collection_lose_nothing(tmp_path: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from kb_export.record import KBRecord

    def record(number: int) -> tuple[KBRecord, bytes]:
        data = b"picture %d" % number
        sha256 = hashlib.sha256(data).hexdigest()
        made = KBRecord.make(
            image_id=f"img_{sha256[:24]}",
            sha256=sha256,
            media_type="image/png",
            width=1,
            height=1,
            title="t",
            caption="c",
            alt="a",
        )
        return made, data

    def put(number: int) -> None:
        Collection(tmp_path, "shop").put(*record(number % 20), notice=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(80)))
    collection = Collection(tmp_path, "shop")
    assert collection.count() == collection.owed() == 20
    assert len(collection.record_ids()) == 20
