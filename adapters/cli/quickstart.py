"""What a first start makes, so that there is something to try: a company, its owner, and a project with two apps."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from uuid import UUID

import msgspec

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
    """What will be made. It is written to the file first, so that a start that breaks off half-way is finished by the next."""

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


def read_or_write_plan(path: Path, base_url: str) -> Plan:
    """The plan of an earlier start, or a new one, in a 0600 file."""
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    company_id, project_id = new_id(), new_id()
    plan = Plan(
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
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(msgspec.to_builtins(plan), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return plan


async def carry_out(plan: Plan, accounts: AccountCommands, projects: ProjectCommands) -> None:
    """Makes what is not there yet."""
    await accounts.open_installation(_CALLER)
    await accounts.found_company(_CALLER, plan.company_id, "Quickstart Company")
    await accounts.register(_CALLER, plan.account_id, plan.email_address, "Quickstart Owner", plan.password)
    await accounts.join_company(_CALLER, plan.account_id, plan.company_id, "owner")
    await accounts.adopt_api_key(_CALLER, plan.company_id, plan.api_key_id, "Quickstart", token_digest(plan.api_key))
    settings = ProjectSettings(name="Quickstart", webhook_url=f"{plan.base_url}/healthz")
    await projects.create(plan.company_id, _CALLER, settings, plan.project_id)
    await projects.adopt_token(plan.project_id, _CALLER, "Quickstart", plan.token_id, token_digest(plan.project_token))
    for app_key in APPS:
        try:
            await projects.add_integration(plan.project_id, _CALLER, NewIntegration(app_key=app_key))
        except IntegrationAlreadyExists:
            continue


def announcement(path: Path, base_url: str) -> str:
    """Where the file is, and a command that works at once without showing the token."""
    read = f'python3 -c \'import json; q = json.load(open("{path}")); print(q["{{}}"])\''
    return (
        f"A project to try is ready; its keys are in {path}\n"
        '  curl -sS -H "Authorization: Bearer $('
        + read.format("project_token")
        + f')" "{base_url}/api/v1/ipaas/apps/github/credential-info"'
    )
