"""A data source of an Amazon Bedrock knowledge base: its documents, their states, its syncs.

Request shapes: botocore's `bedrock-agent` 2023-06-05, and
https://docs.aws.amazon.com/bedrock/latest/userguide/kb-direct-ingestion-add.html .
boto3 is loaded with this module only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from kb_export.errors import RecordRefused, TargetUnavailable
from kb_export.targets.aws_errors import answered, unreachable

DOCUMENTS_PER_CALL = 10
POLL_S = 5.0
_CONFIGURATION = {
    "AccessDeniedException": "Give the credentials bedrock:IngestKnowledgeBaseDocuments, "
    "DeleteKnowledgeBaseDocuments, GetKnowledgeBaseDocuments, ListKnowledgeBaseDocuments, "
    "GetDataSource, StartIngestionJob and GetIngestionJob.",
    "ResourceNotFoundException": "Check the ids of the knowledge base and of its data source, and "
    "the region (AGENT_TOOLS_KB_BEDROCK_REGION).",
    "UnrecognizedClientException": "Check the AWS credentials of this process.",
    "InvalidSignatureException": "Check the AWS credentials of this process.",
    "ExpiredTokenException": "Renew the AWS credentials of this process.",
}


@dataclass(frozen=True, slots=True)
class DocumentState:
    """How far Bedrock is with one document.

    Attributes:
        status: Bedrock's word, such as "INDEXED".
        reason: Bedrock's explanation; empty if there is none.
    """

    status: str
    reason: str

    @property
    def busy(self) -> bool:
        """Whether its state will change by itself."""
        return self.status in ("PENDING", "STARTING", "IN_PROGRESS")

    @property
    def gone(self) -> bool:
        """Whether the document is not there, or will soon not be."""
        return self.status in ("NOT_FOUND", "DELETING", "DELETE_IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class Job:
    """A sync of the data source. `reasons` say why it failed, if it did."""

    job_id: str
    status: str
    reasons: tuple[str, ...]

    @property
    def busy(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("STARTING", "IN_PROGRESS", "STOPPING")


class DataSource:
    """One data source. Documents are named by `(type, name)`: a custom id, or an S3 URI."""

    def __init__(
        self,
        knowledge_base_id: str,
        data_source_id: str,
        *,
        region: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"bedrock:{knowledge_base_id}/{data_source_id}"
        self.sleep = sleep
        self.clock = clock
        self._ids = {"knowledgeBaseId": knowledge_base_id, "dataSourceId": data_source_id}
        with self._errors():
            self.client: Any = boto3.Session().client(
                "bedrock-agent",
                region_name=region,
                config=Config(
                    connect_timeout=5,
                    read_timeout=60,
                    # Direct ingestion allows few calls a second; botocore waits with jitter.
                    retries={"mode": "standard", "max_attempts": 6},
                ),
            )

    def configuration(self) -> dict[str, Any]:
        """Return Bedrock's configuration of the data source, `type` among it."""
        with self._errors():
            found = self.client.get_data_source(**self._ids)["dataSource"]
        configuration: dict[str, Any] = found["dataSourceConfiguration"]
        return configuration

    def documents(self) -> dict[str, DocumentState]:
        """Return the states of all documents, by custom id or S3 URI."""
        with self._errors():
            pages = self.client.get_paginator("list_knowledge_base_documents").paginate(
                **self._ids, PaginationConfig={"PageSize": 1000}
            )
            return {
                _name_of(detail): _state_of(detail)
                for page in pages
                for detail in page["documentDetails"]
            }

    def states(self, identifiers: Sequence[dict[str, Any]]) -> dict[str, DocumentState]:
        """Return the states of some documents."""
        return self._in_tens(
            identifiers,
            lambda some: self.client.get_knowledge_base_documents(
                **self._ids, documentIdentifiers=some
            ),
        )

    def ingest(self, documents: Sequence[dict[str, Any]]) -> dict[str, DocumentState]:
        """Give documents to Bedrock; one of the same name is replaced. Indexing comes later.

        Raises:
            RecordRefused: if Bedrock calls them malformed.
        """
        return self._in_tens(
            documents,
            lambda some: self.client.ingest_knowledge_base_documents(**self._ids, documents=some),
        )

    def delete(self, identifiers: Sequence[dict[str, Any]]) -> dict[str, DocumentState]:
        """Take documents out; those that are not there are no error."""
        return self._in_tens(
            identifiers,
            lambda some: self.client.delete_knowledge_base_documents(
                **self._ids, documentIdentifiers=some
            ),
        )

    def start_job(self) -> Job | None:
        """Start a sync; None if another one is running."""
        with self._errors():
            try:
                answer = self.client.start_ingestion_job(**self._ids)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConflictException":
                    return None
                raise
        return _job_of(answer["ingestionJob"])

    def job(self, job_id: str) -> Job:
        """Return how far a sync is."""
        with self._errors():
            answer = self.client.get_ingestion_job(**self._ids, ingestionJobId=job_id)
        return _job_of(answer["ingestionJob"])

    def poll(self, until: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Ask `until` every five seconds until it says yes.

        Raises:
            TargetUnavailable: if it has not after `timeout_s` seconds.
        """
        deadline = self.clock() + timeout_s
        while not until():
            left = deadline - self.clock()
            if left <= 0:
                raise TargetUnavailable(
                    f"{self.name} has not finished {what} after {timeout_s:.0f} s.",
                    hint="It goes on by itself; wait again later.",
                )
            self.sleep(min(POLL_S, left))

    def _in_tens(
        self, items: Sequence[dict[str, Any]], call: Callable[[Sequence[dict[str, Any]]], Any]
    ) -> dict[str, DocumentState]:
        states = {}
        with self._errors():
            for start in range(0, len(items), DOCUMENTS_PER_CALL):
                answer = call(items[start : start + DOCUMENTS_PER_CALL])
                details = answer.get("documentDetails", [])
                states.update({_name_of(detail): _state_of(detail) for detail in details})
        return states

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what the trouble is. A malformed request is the record's fault in `ingest` only."""
        try:
            yield
        except (NoCredentialsError, NoRegionError) as error:
            raise TargetUnavailable(
                f"There are no credentials or no region for {self.name}.",
                hint="Set AWS credentials and AGENT_TOOLS_KB_BEDROCK_REGION for this process.",
                retryable=False,
            ) from error
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            if code == "ValidationException":
                said = str(error.response["Error"].get("Message", ""))[:200]
                ingesting = error.operation_name == "IngestKnowledgeBaseDocuments"
                raise (RecordRefused if ingesting else TargetUnavailable)(
                    f"{self.name} calls the request malformed: {said}",
                    hint="Check that the data source is of the kind that the target's name says.",
                    retryable=False,
                ) from error
            raise answered(self.name, code, _CONFIGURATION) from error
        except BotoCoreError as error:
            raise unreachable(self.name, error) from error


def custom_identifier(document_id: str) -> dict[str, Any]:
    """Return how the API names a document of a custom data source."""
    return {"dataSourceType": "CUSTOM", "custom": {"id": document_id}}


def s3_identifier(uri: str) -> dict[str, Any]:
    """Return how the API names a document of an S3 data source."""
    return {"dataSourceType": "S3", "s3": {"uri": uri}}


def _name_of(detail: dict[str, Any]) -> str:
    identifier = detail["identifier"]
    name: str = (
        identifier["custom"]["id"]
        if identifier["dataSourceType"] == "CUSTOM"
        else identifier["s3"]["uri"]
    )
    return name


def _state_of(detail: dict[str, Any]) -> DocumentState:
    return DocumentState(detail["status"], detail.get("statusReason", ""))


def _job_of(answer: dict[str, Any]) -> Job:
    return Job(answer["ingestionJobId"], answer["status"], tuple(answer.get("failureReasons", ())))
