"""Amazon Bedrock knowledge bases: documents straight in, or a bucket and its syncs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bedrock_fake import KB, SOURCE, FakeBedrock
from botocore.stub import Stubber
from kb_pictures import add_pictures, rewrite

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import BadTarget, TargetUnavailable
from kb_export.targets import open_target, target_name
from kb_export.targets.bedrock import BedrockTarget
from kb_export.targets.bedrock_s3 import BedrockBucketTarget

CUSTOM = f"bedrock:{KB}/{SOURCE}"


@pytest.fixture(autouse=True)
def aws(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    monkeypatch.setattr("kb_export.exporter.full_jitter", lambda outages: 60.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    monkeypatch.setenv("AGENT_TOOLS_KB_BEDROCK_REGION", "us-east-1")


@pytest.fixture
def custom(monkeypatch: pytest.MonkeyPatch) -> tuple[BedrockTarget, FakeBedrock]:
    target = open_target(CUSTOM)
    assert isinstance(target, BedrockTarget)
    return target, prepare(target, monkeypatch, {"type": "CUSTOM"})


@pytest.fixture
def bucketed(
    bucket: str, s3_client: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]:
    def make(ingestion: str, **s3: Any) -> tuple[BedrockBucketTarget, FakeBedrock]:
        target = open_target(f"{CUSTOM}@s3://{bucket}/shop", {"ingestion": ingestion})
        assert isinstance(target, BedrockBucketTarget)
        configuration = {
            "bucketArn": f"arn:aws:s3:::{bucket}",
            "inclusionPrefixes": ["shop/docs/"],
            **s3,
        }
        fake = prepare(target, monkeypatch, {"type": "S3", "s3Configuration": configuration})

        def scanned() -> list[str]:
            listed = s3_client.list_objects_v2(Bucket=bucket, Prefix="shop/docs/")
            return [
                f"s3://{bucket}/{item['Key']}"
                for item in listed.get("Contents", [])
                if not item["Key"].endswith(".metadata.json")
            ]

        fake.bucket = scanned
        return target, fake

    return make


def prepare(
    target: Any, monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any]
) -> FakeBedrock:
    """Put a fake behind the target, and have `Knowledge` open this very target."""
    source = target._source
    moment = [0.0]

    def sleep(seconds: float) -> None:
        moment[0] += seconds

    source.sleep, source.clock = sleep, lambda: moment[0]
    monkeypatch.setattr("agent_tools.knowledge.open_target", lambda *_: target)
    return FakeBedrock(source.client, configuration)


def knowledge_of(gallery: Gallery, target: Any) -> Knowledge:
    return Knowledge(gallery, Settings(data=gallery.data_dir, kb=target.name))


def test_documents_go_straight_in_with_their_facts_and_are_waited_for(
    gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]
) -> None:
    target, bedrock = custom
    record = add_pictures(gallery, "red teapot", metadata={"sku": "TP-1", "price": 19.5})[0]
    assert knowledge_of(gallery, target).export().put == (record.image_id,)
    target.wait(60)
    assert list(bedrock.documents.values()) == ["INDEXED"]
    ((name, document),) = bedrock.contents.items()
    assert target.list_ids() == {name}
    text = document["content"]["custom"]["inlineContent"]["textContent"]["data"]
    assert "A red teapot on a white background." in text and "X-Amz" not in text
    values = {item["key"]: item["value"] for item in document["metadata"]["inlineAttributes"]}
    assert values["sku"] == {"type": "STRING", "stringValue": "TP-1"}
    assert values["price"] == {"type": "NUMBER", "numberValue": 19.5}
    assert values["untrusted_caption"] == {"type": "BOOLEAN", "booleanValue": True}


def test_exporting_twice_sends_nothing_and_a_lost_outbox_sends_no_document_again(
    gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]
) -> None:
    target, bedrock = custom
    add_pictures(gallery, *(f"teapot {n}" for n in range(7)))
    knowledge = knowledge_of(gallery, target)
    assert len(knowledge.export().put) == 7
    assert knowledge.export().unchanged == 7
    with gallery.transaction() as connection:
        connection.execute("DELETE FROM kb_exported")
    assert len(knowledge.export().put) == 7
    assert bedrock.count("IngestKnowledgeBaseDocuments") == 7
    assert bedrock.count("DeleteKnowledgeBaseDocuments") == 0
    assert len(target.list_ids()) == 7


def test_newer_words_come_before_older_ones_go_and_a_removal_removes(
    gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]
) -> None:
    target, bedrock = custom
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery, target)
    knowledge.export()
    before = set(bedrock.documents)
    bedrock.calls.clear()
    rewrite(gallery, first.image_id, caption="Newer words.")
    assert knowledge.export().put == (first.image_id,)
    changes = [name for name, _ in bedrock.calls if name.startswith(("Ingest", "Delete"))]
    assert changes == ["IngestKnowledgeBaseDocuments", "DeleteKnowledgeBaseDocuments"]
    assert len(bedrock.documents) == 2 and len(set(bedrock.documents) - before) == 1
    knowledge.remove([first.image_id, second.image_id])
    assert bedrock.documents == {}


def test_what_bedrock_cannot_index_is_told_by_id_and_the_rest_is_found(
    gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]
) -> None:
    target, bedrock = custom
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery, target)
    assert knowledge.export([first.image_id]).put == (first.image_id,)
    bedrock.outcome = "FAILED"
    report = knowledge.export([second.image_id])
    assert report.failed == ((second.image_id, "FAILED: Too odd."),)
    assert (report.put, report.problem) == ((), None)
    assert len(target.list_ids()) == 1
    bedrock.outcome = "INDEXED"
    assert knowledge.export([second.image_id]).put == (second.image_id,)
    assert len(target.list_ids()) == 2


def test_waiting_ends(gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]) -> None:
    target, bedrock = custom
    add_pictures(gallery, "red teapot")
    bedrock.outcome = "IN_PROGRESS"
    report = knowledge_of(gallery, target).export()
    assert report.problem is not None and report.problem.retryable
    assert "has not finished indexing after" in str(report.problem)
    with pytest.raises(TargetUnavailable, match="after 30 s"):
        target.wait(30)
    bedrock.outcome = "INDEXED"
    target.wait(30)


@pytest.mark.parametrize(
    ("code", "retryable", "hint"),
    [
        ("AccessDeniedException", False, "IngestKnowledgeBaseDocuments"),
        ("ResourceNotFoundException", False, "ids of the knowledge base"),
        ("ServiceQuotaExceededException", True, "nothing is lost"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_everything_queued(
    code: str,
    retryable: bool,
    hint: str,
    gallery: Gallery,
    custom: tuple[BedrockTarget, FakeBedrock],
) -> None:
    target, bedrock = custom
    add_pictures(gallery, "red teapot")
    knowledge = knowledge_of(gallery, target)
    bedrock.errors = [code]
    report = knowledge.export()
    assert report.problem is not None and report.problem.retryable is retryable
    assert hint in str(report.problem)
    assert report.pending == 1
    assert len(knowledge.export().put) == 1


def test_a_document_that_bedrock_calls_malformed_does_not_stop_the_others(
    gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]
) -> None:
    target, bedrock = custom
    add_pictures(gallery, "red teapot", "blue teapot")
    target.list_ids()
    bedrock.errors = ["ValidationException"]
    report = knowledge_of(gallery, target).export()
    assert (len(report.put), len(report.failed), report.problem) == (1, 1, None)
    assert "as the test wants" in report.failed[0][1]


def test_a_bucket_that_bedrock_will_not_ingest_from_is_told_and_nothing_is_lost(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    target, bedrock = bucketed("direct")
    add_pictures(gallery, "red teapot")
    knowledge = knowledge_of(gallery, target)
    real = target._source.client.ingest_knowledge_base_documents

    def refused(**arguments: Any) -> Any:
        bedrock.errors = ["ValidationException"]
        return real(**arguments)

    target._source.client.ingest_knowledge_base_documents = refused
    report = knowledge.export()
    assert report.problem is not None and not report.problem.retryable
    target._source.client.ingest_knowledge_base_documents = real
    assert knowledge.export().problem is None
    target.wait(60)
    assert list(bedrock.documents.values()) == ["INDEXED"]


def test_a_data_source_of_another_kind_is_refused_before_anything_is_sent(
    gallery: Gallery, custom: tuple[BedrockTarget, FakeBedrock]
) -> None:
    target, bedrock = custom
    bedrock.configuration = {"type": "WEB"}
    add_pictures(gallery, "red teapot")
    report = knowledge_of(gallery, target).export()
    assert report.problem is not None and "WEB, not CUSTOM" in str(report.problem)
    assert bedrock.documents == {}


def test_a_bucket_is_synced_once_a_run_and_not_when_nothing_changed(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    target, bedrock = bucketed("job")
    first, *_ = add_pictures(gallery, *(f"teapot {n}" for n in range(5)))
    knowledge = knowledge_of(gallery, target)
    assert knowledge.export().problem is None
    target.wait(60)
    assert (bedrock.jobs, len(bedrock.documents)) == (1, 5)
    assert knowledge.export().unchanged == 5
    target.wait(60)
    assert bedrock.jobs == 1
    knowledge.remove([first.image_id])
    target.wait(60)
    assert (bedrock.jobs, len(bedrock.documents)) == (2, 4)


def test_a_crash_before_the_sync_is_made_good_by_the_next_run(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    add_pictures(gallery, "red teapot")
    crashed, _ = bucketed("job")
    crashed.flush = lambda: None  # type: ignore[method-assign]
    assert len(knowledge_of(gallery, crashed).export().put) == 1
    target, bedrock = bucketed("job")
    assert knowledge_of(gallery, target).export().put == ()
    target.wait(60)
    assert (bedrock.jobs, len(bedrock.documents)) == (1, 1)


def test_somebody_elses_sync_is_waited_for_before_ours_starts(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    target, bedrock = bucketed("job")
    add_pictures(gallery, "red teapot")
    bedrock.running = True
    report = knowledge_of(gallery, target).export()
    assert report.problem is not None and report.problem.retryable
    assert "Another sync" in str(report.problem)
    sleep = target._source.sleep

    def other_ends(seconds: float) -> None:
        bedrock.running = False
        sleep(seconds)

    target._source.sleep = other_ends
    target.wait(60)
    assert (bedrock.jobs, len(bedrock.documents)) == (1, 1)


def test_a_sync_that_fails_says_why_and_is_tried_again(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    target, bedrock = bucketed("job")
    add_pictures(gallery, "red teapot")
    knowledge = knowledge_of(gallery, target)
    bedrock.job_status = "FAILED"
    report = knowledge.export()
    assert report.problem is not None and "role may not read" in str(report.problem)
    bedrock.job_status = "COMPLETE"
    assert knowledge.export().problem is None
    target.wait(60)
    assert (bedrock.jobs, len(bedrock.documents)) == (2, 1)


def test_a_second_run_during_our_own_sync_starts_no_other(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    target, bedrock = bucketed("job")
    add_pictures(gallery, "red teapot")
    knowledge = knowledge_of(gallery, target)
    knowledge.export()
    bedrock.job_status, bedrock.running = "IN_PROGRESS", True
    assert knowledge.export().problem is None
    add_pictures(gallery, "blue teapot")
    assert knowledge.export().problem is not None
    bedrock.job_status, bedrock.running = "COMPLETE", False
    target.wait(60)
    assert (bedrock.jobs, len(bedrock.documents)) == (2, 2)


def test_direct_ingestion_names_ten_documents_a_call(
    gallery: Gallery, bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]]
) -> None:
    target, bedrock = bucketed("direct")
    records = add_pictures(gallery, *(f"teapot {n}" for n in range(23)))
    knowledge = knowledge_of(gallery, target)
    assert knowledge.export().problem is None
    target.wait(60)
    calls = [given for name, given in bedrock.calls if name == "IngestKnowledgeBaseDocuments"]
    assert [len(given["documents"]) for given in calls] == [10, 10, 3]
    assert set(bedrock.documents.values()) == {"INDEXED"} and len(bedrock.documents) == 23
    rewrite(gallery, records[0].image_id, caption="Newer words.")
    knowledge.export()
    knowledge.remove([record.image_id for record in records[:12]])
    target.wait(60)
    assert len(bedrock.documents) == 11
    assert bedrock.jobs == 0


@pytest.mark.parametrize(
    "s3",
    [
        {"inclusionPrefixes": ["shop/"]},
        {"inclusionPrefixes": ["shop/docs"]},
        {"bucketArn": "arn:aws:s3:::another-bucket"},
    ],
)
def test_a_data_source_that_reads_another_place_is_refused_before_anything_is_written(
    s3: dict[str, Any],
    gallery: Gallery,
    s3_client: Any,
    bucket: str,
    bucketed: Callable[..., tuple[BedrockBucketTarget, FakeBedrock]],
) -> None:
    target, _ = bucketed("job", **s3)
    add_pictures(gallery, "red teapot")
    report = knowledge_of(gallery, target).export()
    assert report.problem is not None and not report.problem.retryable
    assert "inclusion prefix 'shop/docs/'" in str(report.problem)
    assert not s3_client.list_objects_v2(Bucket=bucket).get("Contents")


def test_the_stubber_agrees_with_every_request_and_answer() -> None:
    target = open_target(CUSTOM)
    assert isinstance(target, BedrockTarget)
    ids = {"knowledgeBaseId": KB, "dataSourceId": SOURCE}
    one = {"dataSourceType": "CUSTOM", "custom": {"id": "kb_1"}}
    detail = {**ids, "status": "DELETING", "identifier": one}
    with Stubber(target._source.client) as stub:
        stub.add_response(
            "delete_knowledge_base_documents",
            {"documentDetails": [detail]},
            {**ids, "documentIdentifiers": [one]},
        )
        stub.add_client_error("start_ingestion_job", "ConflictException", expected_params=ids)
        stub.add_client_error(
            "ingest_knowledge_base_documents", "ThrottlingException", http_status_code=429
        )
        assert target._source.delete([one])["kb_1"].gone
        assert target._source.start_job() is None
        with pytest.raises(TargetUnavailable, match="Throttling") as caught:
            target._source.ingest(
                [{"content": {"dataSourceType": "S3", "s3": {"s3Location": {"uri": "s3://a/b"}}}}]
            )
        assert caught.value.retryable
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "spec",
    [
        "bedrock:",
        "bedrock:KB12345678",
        "bedrock:KB1234567/DS12345678",
        "bedrock:KB12345678/DS12345678/",
        "bedrock:KB12345678/DS12345678@",
        "bedrock:KB12345678/DS12345678@folder:/tmp",
        "bedrock:KB12345678/DS12345678@s3://b",
        "bedrock:KB12345678/DS12345678@s3://bucket/aws/x",
        f"bedrock:KB12345678/DS12345678@s3://bucket/{'p' * 80}",
        "bedrock:KB12345678/../DS12345678",
    ],
)
def test_a_malformed_name_is_refused(spec: str) -> None:
    with pytest.raises(BadTarget):
        target_name(spec)


def test_one_place_has_one_name_and_settings_are_checked() -> None:
    assert target_name(f" {CUSTOM}@s3://bucket//shop/ ") == f"{CUSTOM}@s3://bucket/shop"
    with pytest.raises(BadTarget, match="INGESTION"):
        open_target(CUSTOM, {"ingestion": "sometimes"})
    with pytest.raises(BadTarget, match="REGION"):
        open_target(CUSTOM, {"region": "http://evil.example"})
