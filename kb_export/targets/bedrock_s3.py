"""An Amazon Bedrock knowledge base that reads a bucket: objects first, then they are indexed.

The bucket is the truth. Whenever a run of exports ends, what Bedrock knows is compared with what
lies there, so a crash at any point is made good by the next run. A sync (`StartIngestionJob`)
removes what lies outside its prefix and rescans all of it; one runs at a time. Direct ingestion
names ten documents a call and rescans nothing.
"""

from __future__ import annotations

from kb_export.bundle import DOCUMENT_KEY, document_key
from kb_export.errors import NotIndexed, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets.base import Capabilities
from kb_export.targets.bedrock_source import DataSource, DocumentState, Job, s3_identifier
from kb_export.targets.s3 import S3Target


class BedrockBucketTarget:
    """Write records into `bucket` and have `source` index them.

    Args:
        direct: name the documents to Bedrock instead of starting a sync.
    """

    def __init__(self, source: DataSource, bucket: S3Target, *, direct: bool = False) -> None:
        self._source = source
        self._bucket = bucket
        self._direct = direct
        self._checked = False
        self._changed = False
        self._job: Job | None = None
        self._unfinished: set[str] = set()

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return f"{self._source.name}@{self._bucket.name}"

    @property
    def label(self) -> str:
        """The same as the name: it holds no secret."""
        return self.name

    @property
    def capabilities(self) -> Capabilities:
        """What the bucket can promise; Bedrock indexes after `put`."""
        bucket = self._bucket.capabilities
        return Capabilities(
            conditional_put=bucket.conditional_put, checksums=True, pages=False, asynchronous=True
        )

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`)."""
        self._check()
        self._bucket.put(record, image)
        self._changed = True
        self._unfinished.add(record.record_id)

    def delete(self, sha256: str) -> None:
        """Remove the picture and every record of it (see `KBTarget.delete`)."""
        self._check()
        self._bucket.delete(sha256)
        self._changed = True

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records in the bucket."""
        return self._bucket.list_ids()

    def flush(self) -> None:
        """Have Bedrock index what it does not know, and drop what is not in the bucket.

        Raises:
            TargetUnavailable: if a sync is running already; `wait`, or the next run, starts ours.
        """
        self._check()
        known = self._known()
        there = self._bucket.list_ids()
        missing = there - {name for name, state in known.items() if not state.gone}
        extra = {name for name, state in known.items() if not state.gone} - there
        if self._direct:
            self._ingest(self._uris(missing))
            self._source.delete([s3_identifier(uri) for uri in self._uris(extra)])
            self._changed = False
        elif self._changed or ((missing or extra) and not self._syncing()):
            self._changed = True
            if not self._start():
                raise TargetUnavailable(
                    f"Another sync of {self._source.name} is running; ours waits for its end.",
                    hint="Export again when it has ended; nothing is lost.",
                )

    def wait(self, timeout_s: float) -> None:
        """Block until all documents put by this object are indexed (see `KBTarget.wait`)."""
        failed: dict[str, str] = {}

        def job_ended() -> bool:
            if self._job is None:
                return not self._changed or (self._start() and False)
            self._job = self._source.job(self._job.job_id)
            return not self._job.busy

        def indexed() -> bool:
            uris = self._uris(self._unfinished)
            states = self._by_record(self._source.states([s3_identifier(uri) for uri in uris]))
            for name, state in states.items():
                if state.busy:
                    continue
                self._unfinished.discard(name)
                if state.status != "INDEXED":
                    failed[name] = f"{state.status}: {state.reason}".rstrip(": ")
            return not self._unfinished

        deadline = self._source.clock() + timeout_s
        self._source.poll(job_ended, timeout_s, "its sync")
        job, self._job = self._job, None
        if job is not None and job.status != "COMPLETE":
            self._changed = True  # the next flush tries again
            raise TargetUnavailable(
                f"The sync of {self._source.name} ended as {job.status}: "
                f"{'; '.join(job.reasons)[:300] or 'no reason given'}.",
                hint="Mend what it names, then export again; the bucket has everything.",
            )
        self._unfinished &= self._bucket.list_ids()  # some may be rewritten or gone by now
        self._source.poll(indexed, max(0.0, deadline - self._source.clock()), "indexing")
        if failed:
            raise NotIndexed(
                tuple(sorted(failed.items())), hint="Change the words of these, then export again."
            )

    def _ingest(self, uris: list[str]) -> None:
        try:
            self._source.ingest(
                [
                    {"content": {"dataSourceType": "S3", "s3": {"s3Location": {"uri": uri}}}}
                    for uri in uris
                ]
            )
        except RecordRefused as error:  # ten are asked about at once, so no one of them is named
            raise TargetUnavailable(error.args[0], hint=error.hint, retryable=False) from error

    def _syncing(self) -> bool:
        """Tell whether a sync of ours, begun after the last change, is still on its way."""
        if self._job is not None:
            self._job = self._source.job(self._job.job_id)
        return self._job is not None and self._job.busy

    def _start(self) -> bool:
        self._job = self._source.start_job()
        if self._job is not None:
            self._changed = False
        return self._job is not None

    def _check(self) -> None:
        """See once that Bedrock reads the documents of this bucket, and nothing else.

        Raises:
            TargetUnavailable: if it does not: a sync would drop our documents or index pictures
                as if they were documents.
        """
        if self._checked:
            return
        bucket, _, prefix = self._bucket.name.removeprefix("s3://").partition("/")
        wanted = f"{prefix}/docs/" if prefix else "docs/"
        configuration = self._source.configuration()
        s3 = configuration.get("s3Configuration", {})
        if (
            configuration["type"] != "S3"
            or s3.get("bucketArn", "").rsplit(":", 1)[-1] != bucket
            or list(s3.get("inclusionPrefixes", ())) != [wanted]
        ):
            raise TargetUnavailable(
                f"The data source of {self._source.name} does not read {self._bucket.name}/docs/ "
                "and nothing else.",
                hint=f"Give it the bucket {bucket} and the one inclusion prefix '{wanted}'.",
                retryable=False,
            )
        self._checked = True

    def _known(self) -> dict[str, DocumentState]:
        return self._by_record(self._source.documents())

    def _by_record(self, states: dict[str, DocumentState]) -> dict[str, DocumentState]:
        root = f"{self._bucket.name}/"
        return {
            found[1]: state
            for uri, state in states.items()
            if uri.startswith(root) and (found := DOCUMENT_KEY.fullmatch(uri.removeprefix(root)))
        }

    def _uris(self, record_ids: set[str] | frozenset[str]) -> list[str]:
        return [f"{self._bucket.name}/{document_key(name)}" for name in sorted(record_ids)]
