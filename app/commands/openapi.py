"""The command that prints what `/schema/openapi.json` answers, for those who make clients of it."""

from __future__ import annotations

import asyncio
import secrets

import click
import httpx

from app.commands.answers import Command
from app.main import create_app
from app.settings import Settings


@click.command(cls=Command)
def openapi() -> None:
    """Print the OpenAPI description.

    It needs neither settings nor a database.
    """
    click.echo(asyncio.run(_description()))


async def _description() -> bytes:
    settings = Settings(jwt_secrets=(secrets.token_bytes(32),), encryption_keys=(secrets.token_bytes(32),))
    transport = httpx.ASGITransport(app=create_app(settings))  # pyright: ignore[reportArgumentType] -- two libraries' types of one protocol
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/schema/openapi.json")
    return answer.raise_for_status().content
