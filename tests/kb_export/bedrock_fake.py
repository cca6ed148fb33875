"""A Bedrock agent in memory behind a real boto3 client.

botocore checks every request against the shapes it ships before we see it, and we check every
answer the same way, as botocore's Stubber does; the difference is that this one remembers.
"""

from __future__ import annotations

import copy
import datetime
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters

KB, SOURCE = "KB12345678", "DS12345678"
NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)


class FakeBedrock:
    """Documents and syncs of one data source.

    Attributes:
        documents: status by custom id or URI.
        calls: (operation, parameters) of every request.
        outcome: status that an ingested document reaches when it is asked for.
        running: whether somebody else's sync is running.
        errors: error codes to answer with, in order, before anything else.
    """

    def __init__(self, client: Any, configuration: dict[str, Any]) -> None:
        self.configuration = configuration
        self.documents: dict[str, str] = {}
        self.contents: dict[str, Any] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.outcome = "INDEXED"
        self.job_status = "COMPLETE"
        self.jobs = 0
        self.running = False
        self.errors: list[str] = []
        self.bucket: Any = None
        self._given: dict[str, Any] = {}
        events = client.meta.events
        events.register_last("before-parameter-build.bedrock-agent", self._keep)
        events.register_first("before-call.bedrock-agent", self._answer)

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def _keep(self, params: dict[str, Any], **_: Any) -> None:
        self._given = copy.deepcopy(params)

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        given = self._given
        assert (given["knowledgeBaseId"], given["dataSourceId"]) == (KB, SOURCE)
        self.calls.append((model.name, given))
        if self.errors:
            return self._error(self.errors.pop(0))
        if model.name == "StartIngestionJob" and self.running:
            return self._error("ConflictException")
        answer = getattr(self, f"_{model.name}")(given)
        validate_parameters(answer, model.output_shape)
        answer["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}}
        return AWSResponse("", 200, {}, None), answer

    def _error(self, code: str) -> tuple[AWSResponse, dict[str, Any]]:
        error = {"Error": {"Code": code, "Message": "as the test wants"}}
        metadata = {"HTTPStatusCode": 400, "HTTPHeaders": {}}
        return AWSResponse("", 400, {}, None), {**error, "ResponseMetadata": metadata}

    def _GetDataSource(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "dataSource": {
                **self._ids(),
                "name": "pictures",
                "status": "AVAILABLE",
                "dataSourceConfiguration": self.configuration,
                "createdAt": NOW,
                "updatedAt": NOW,
            }
        }

    def _ListKnowledgeBaseDocuments(self, given: dict[str, Any]) -> dict[str, Any]:
        names = sorted(self.documents)
        start = int(given.get("nextToken", "0"))
        answer: dict[str, Any] = {
            "documentDetails": [self._detail(name) for name in names[start : start + 3]]
        }
        if start + 3 < len(names):
            answer["nextToken"] = str(start + 3)
        return answer

    def _GetKnowledgeBaseDocuments(self, given: dict[str, Any]) -> dict[str, Any]:
        names = [self._name(item) for item in given["documentIdentifiers"]]
        for name in names:
            if self.documents.get(name) == "STARTING":
                self.documents[name] = "IN_PROGRESS"
            elif self.documents.get(name) == "IN_PROGRESS":
                self.documents[name] = self.outcome
        return {"documentDetails": [self._detail(name) for name in names]}

    def _IngestKnowledgeBaseDocuments(self, given: dict[str, Any]) -> dict[str, Any]:
        names = []
        for document in given["documents"]:
            content = document["content"]
            if content["dataSourceType"] == "CUSTOM":
                name = content["custom"]["customDocumentIdentifier"]["id"]
            else:
                name = content["s3"]["s3Location"]["uri"]
            assert content["dataSourceType"] == self.configuration["type"]
            self.documents[name] = "STARTING"
            self.contents[name] = document
            names.append(name)
        return {"documentDetails": [self._detail(name) for name in names]}

    def _DeleteKnowledgeBaseDocuments(self, given: dict[str, Any]) -> dict[str, Any]:
        names = [self._name(item) for item in given["documentIdentifiers"]]
        for name in names:
            self.documents.pop(name, None)
        return {"documentDetails": [self._detail(name, "DELETING") for name in names]}

    def _StartIngestionJob(self, given: dict[str, Any]) -> dict[str, Any]:
        self.jobs += 1
        return {"ingestionJob": self._job("STARTING")}

    def _GetIngestionJob(self, given: dict[str, Any]) -> dict[str, Any]:
        if self.job_status == "COMPLETE":
            # As a sync does: exactly what lies below the prefix is there afterwards.
            self.documents = dict.fromkeys(self.bucket(), self.outcome)
        return {"ingestionJob": self._job(self.job_status)}

    def _job(self, status: str) -> dict[str, Any]:
        job = {
            **self._ids(),
            "ingestionJobId": f"JOB{self.jobs:07d}",
            "status": status,
            "startedAt": NOW,
            "updatedAt": NOW,
        }
        if status == "FAILED":
            job["failureReasons"] = ["The role may not read the bucket."]
        return job

    def _detail(self, name: str, status: str | None = None) -> dict[str, Any]:
        status = status or self.documents.get(name, "NOT_FOUND")
        kind = self.configuration["type"]
        identifier = {"dataSourceType": kind}
        detail = {**self._ids(), "status": status, "identifier": identifier}
        if kind == "CUSTOM":
            identifier["custom"] = {"id": name}
        else:
            identifier["s3"] = {"uri": name}
        if status == "FAILED":
            detail["statusReason"] = "Too odd."
        return detail

    def _name(self, identifier: dict[str, Any]) -> str:
        name: str = (identifier.get("custom") or {}).get("id") or identifier["s3"]["uri"]
        return name

    def _ids(self) -> dict[str, Any]:
        return {"knowledgeBaseId": KB, "dataSourceId": SOURCE}
