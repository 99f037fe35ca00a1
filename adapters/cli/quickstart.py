"""What a first start makes, so that there is something to try: a company, its owner, and a project with two apps."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import msgspec

from adapters.settings import CannotStart
from domain.accounts.use_cases import AccountCommands
from domain.deciding import Caller
from domain.ids import COMPANY_KEY, PROJECT_TOKEN, mint_token, new_id, token_digest
from domain.projects.integration import IntegrationAlreadyExists
from domain.projects.project import ProjectSettings
from domain.projects.use_cases import NewIntegration, ProjectCommands

FILE_NAME = "quickstart.json"
APPS = ("github", "telegram-bot")
_CALLER = Caller("installation:first-start")


class Plan(msgspec.Struct, kw_only=True):
    """What will be made. It is written to the file first, so that a start that breaks off half-way is finished by the
    next; ``made`` says that it was carried out, and is left alone from then on.
    """

    base_url: str
    email_address: str
    password: str
    company_id: UUID
    api_key: str
    project_id: UUID
    project_token: str
    account_id: UUID
    api_key_id: UUID
    token_id: UUID
    made: bool = False

    def __repr__(self) -> str:
        return f"Plan({self.project_id})"


def read_plan(path: Path) -> Plan | None:
    """The plan of an earlier start; CannotStart when the file is damaged."""
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError):
        raise CannotStart(f"{path} cannot be read as what a first start wrote; restore it, or move it away") from None


def new_plan(base_url: str) -> Plan:
    company_id, project_id = new_id(), new_id()
    return Plan(
        base_url=base_url,
        email_address="owner@quickstart.example",
        password=secrets.token_urlsafe(18),
        company_id=company_id,
        api_key=mint_token(COMPANY_KEY, company_id)[0],
        project_id=project_id,
        project_token=mint_token(PROJECT_TOKEN, project_id)[0],
        account_id=new_id(),
        api_key_id=new_id(),
        token_id=new_id(),
    )


def write_plan(path: Path, plan: Plan) -> None:
    """Writes a 0600 file, and its folder, in one step; CannotStart when that is not possible."""
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise CannotStart(
            f"cannot write {path} ({error.strerror}): mend that, or choose another CAUSEWAY_DATA_DIR"
        ) from None


async def carry_out(plan: Plan, accounts: AccountCommands, projects: ProjectCommands) -> None:
    """Makes what is not there yet."""
    await accounts.open_installation(_CALLER)
    await accounts.found_company(_CALLER, plan.company_id, "Quickstart Company")
    await accounts.register(_CALLER, plan.account_id, plan.email_address, "Quickstart Owner", plan.password)
    await accounts.join_company(_CALLER, plan.account_id, plan.company_id, "owner")
    await accounts.adopt_api_key(_CALLER, plan.company_id, plan.api_key_id, "Quickstart", token_digest(plan.api_key))
    settings = ProjectSettings(name="Quickstart", webhook_url="")  # nobody listens yet
    await projects.create(plan.company_id, _CALLER, settings, plan.project_id)
    await projects.adopt_token(plan.project_id, _CALLER, "Quickstart", plan.token_id, token_digest(plan.project_token))
    for app_key in APPS:
        try:
            await projects.add_integration(plan.project_id, _CALLER, NewIntegration(app_key=app_key))
        except IntegrationAlreadyExists:
            continue


async def quickstart(
    path: Path,
    base_url: str,
    accounts: AccountCommands,
    projects: ProjectCommands,
    token_id: Callable[[UUID, bytes], Awaitable[UUID | None]],
    *,
    is_new: bool,
    serves: bool,
) -> str:
    """Plans and makes it on a new database, and finishes what an earlier start began; answers what to tell people,
    which is nothing once the project's token (``token_id`` finds it by its digest) is gone.

    Where this start ``serves``, the file's ``base_url`` follows. Call it under a lock that all starts share.
    """
    plan = read_plan(path)
    if plan is None:
        if not is_new:
            return ""
        plan = new_plan(base_url)
        write_plan(path, plan)
    if serves and plan.base_url != base_url:
        plan = msgspec.structs.replace(plan, base_url=base_url)
        write_plan(path, plan)
    if is_new or not plan.made:
        await carry_out(plan, accounts, projects)
        write_plan(path, msgspec.structs.replace(plan, made=True))
    works = await token_id(plan.project_id, token_digest(plan.project_token))
    return announcement(path, plan.base_url) if works else ""


def announcement(path: Path, base_url: str) -> str:
    """Where the file is, and a command that works at once without showing the token."""
    token = f'$(sed -n \'s/.*"project_token": *"\\([^"]*\\)".*/\\1/p\' {shlex.quote(str(path))})'
    address = f"{base_url}/api/v1/ipaas/apps/github/credential-info"
    return (
        f"A project to try is ready; its keys are in {path}\n"
        f'  curl -sS -H "Authorization: Bearer {token}" {shlex.quote(address)}'
    )
