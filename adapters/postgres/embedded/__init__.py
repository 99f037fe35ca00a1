"""A PostgreSQL that the service brings along: one server per data directory, shared by the services on it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import asyncpg
import structlog

from adapters.postgres.embedded.account import Account, choose_account
from adapters.postgres.embedded.binaries import find_binaries
from adapters.postgres.embedded.cluster import NAME, make_cluster, write_configuration
from adapters.postgres.embedded.folders import (
    PORT,
    FileLock,
    hold_services,
    make_data_directory,
    socket_folder,
    start_lock,
)
from adapters.postgres.embedded.postmaster import (
    LINGERING_SECONDS,
    RECOVERY_SECONDS,
    find_postmaster,
    give_up_postmaster,
    recovers,
    refuse_unseen_server,
    start_postmaster,
    stop_postmaster,
)
from adapters.settings import CannotStart

WATCH_SECONDS = 0.5
RETRY_SECONDS = 5.0
LOOK_SECONDS = 10.0
STANDSTILL_SECONDS = 25.0  # seen with PostgreSQL 18 after a backend was killed: no startup process, and no end
OTHERS_SECONDS = RECOVERY_SECONDS + LINGERING_SECONDS  # the longest that another service's start may take
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """A hold on the server of a data directory; the server runs as long as any service holds it.

    `dsn` is what asyncpg.connect takes; `pid` is the process id of the server.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str]) -> None:
        self.dsn = ""
        self.pid = 0
        self._data_dir = data_dir.resolve()
        self._settings = settings
        self._hold: FileLock | None = None
        self._stopping = False

    @classmethod
    async def start(cls, data_dir: Path, *, settings: Mapping[str, str] = NO_SETTINGS) -> "EmbeddedPostgres":
        """Start the server, or share the one that runs already; a first start makes everything it needs.

        `settings` are further settings of PostgreSQL, used when the server is started here.
        Raises CannotStart, in one line, for everything that is in the way.
        """
        server = cls(data_dir, settings)
        starting = asyncio.create_task(server._start())
        try:
            await asyncio.shield(starting)
        except BaseException:  # cancelled too: nothing may be left running without a holder
            await asyncio.gather(starting, return_exceptions=True)
            await server.stop()
            raise
        return server

    async def watch(self) -> None:
        """Start a killed server again, and one that came to a standstill in a recovery, until cancelled."""
        clock = asyncio.get_running_loop().time
        idle_since: float | None = None
        next_look = clock()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if await asyncio.to_thread(self._is_running):
                if clock() >= next_look:
                    idle_since = (idle_since or clock()) if await self._stands_still() else None
                    next_look = clock() + LOOK_SECONDS
                if idle_since is None or clock() - idle_since < STANDSTILL_SECONDS:
                    continue
                log.warning("the embedded PostgreSQL stands still in its recovery and is ended", pid=self.pid)
                await asyncio.to_thread(give_up_postmaster, self._data_dir)
                idle_since = None
            killed = self.pid
            try:
                await self._start()
            except CannotStart as reason:
                log.error("the embedded PostgreSQL is down", reason=str(reason), next_try_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                log.warning("the embedded PostgreSQL was killed and is started again", killed=killed, pid=self.pid)

    async def _stands_still(self) -> bool:
        """It accepts nobody, as in a recovery, and nothing of it is recovering."""
        refusal = await self._ask()
        return isinstance(refusal, asyncpg.CannotConnectNowError) and not await asyncio.to_thread(recovers, self.pid)

    async def stop(self) -> None:
        """Let go of the server; the last holder stops it. Can be called again."""
        await asyncio.to_thread(self._let_go)

    async def _start(self) -> None:
        clock = asyncio.get_running_loop().time
        since = 0.0
        while not self._stopping:
            await asyncio.to_thread(self._find_or_start)
            since = since or clock()
            refusal = await self._ask()
            if refusal is None:
                return
            recovers = isinstance(refusal, asyncpg.CannotConnectNowError)
            if clock() - since > (RECOVERY_SECONDS if recovers else LINGERING_SECONDS):
                raise CannotStart(
                    f"the PostgreSQL in {self._data_dir} (process {self.pid}) does not answer ({refusal}): "
                    f"stop it with kill -INT {self.pid} and start again"
                ) from refusal
            await asyncio.sleep(0.2)

    async def _ask(self) -> Exception | None:
        try:
            connection = await asyncpg.connect(self.dsn, timeout=LINGERING_SECONDS)
        except (OSError, asyncpg.PostgresError) as refusal:
            return refusal
        await connection.close()
        return None

    def _find_or_start(self) -> None:
        data_dir = self._data_dir
        try:
            account = choose_account(data_dir)
            make_data_directory(data_dir, account)
            with start_lock(data_dir, OTHERS_SECONDS):
                if not self._stopping:
                    self._find_or_start_alone(account)
        except TimeoutError as error:
            raise CannotStart(f"{error}: wait for it, or stop it") from error
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise CannotStart(
                f"cannot use the data directory {data_dir} ({what}): mend that, "
                "or name another folder in CAUSEWAY_DATA_DIR"
            ) from error

    def _find_or_start_alone(self, account: Account) -> None:
        data_dir = self._data_dir
        if self._hold is None:
            self._hold = hold_services(data_dir)
        folder = socket_folder(data_dir, account)
        pid = find_postmaster(data_dir)
        if pid is None:
            refuse_unseen_server(data_dir, folder)
            binaries = find_binaries(data_dir, account)
            make_cluster(data_dir, binaries, account, sync=self._settings.get("fsync") != "off")
            conf = write_configuration(data_dir, folder, self._settings)
            pid = start_postmaster(data_dir, conf, folder, binaries, account)
        self.pid = pid
        self.dsn = f"postgresql://{NAME}@/{NAME}?host={quote(str(folder))}&port={PORT}"

    def _is_running(self) -> bool:
        pid = find_postmaster(self._data_dir)
        self.pid = pid or self.pid  # another service may have started it again
        return pid is not None

    def _let_go(self) -> None:
        self._stopping = True
        hold, self._hold = self._hold, None
        if hold is None:
            return
        try:
            with start_lock(self._data_dir, LINGERING_SECONDS):
                try:
                    if hold.take(shared=False) and not stop_postmaster(self._data_dir):
                        log.warning("the embedded PostgreSQL is slow to stop; a next start waits", pid=self.pid)
                finally:
                    hold.close()  # before another service may look
        except TimeoutError as error:
            hold.close()
            log.warning("left the embedded PostgreSQL to another service", reason=str(error))
