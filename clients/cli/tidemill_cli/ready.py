"""The commands that `tidemill up` shows once it is ready, with credentials."""

from tidemill_cli.target import Target
from tidemill_core.settings import Settings


def example(settings: Settings, target: Target) -> str:
    """Return commands and a program that call the server of a workspace."""
    task = next(iter(settings.tasks))
    shell, imports, arguments = [], ["TidemillClient"], [f'"{target.address}"']
    if settings.requires_credentials:
        shell += [
            "tidemill keys create --name me --scope predict --scope feedback --scope admin",
            "export TIDEMILL_API_KEY=...   # the key that this prints",
        ]
        arguments.append('api_key="..."')
    if settings.tls.client_ca is not None:
        shell += [
            f"export TIDEMILL_CLIENT_CERTIFICATE=...   # a PEM file, from {settings.tls.client_ca}",
            "export TIDEMILL_CLIENT_KEY=...   # the PEM file of its key",
        ]
    if target.roots is not None:
        imports.append("Tls")
        arguments.append(f"tls=Tls({_tls(settings, target)})")
    commands = "".join(f"  {command}\n" for command in shell)
    return f"""
try, in another terminal in this folder:
{commands}  tidemill predict {task} "some text"
  tidemill feedback submit PREDICTION_ID --correct
  tidemill status
or in Python:
  from tidemill_client import {", ".join(imports)}
  with TidemillClient({", ".join(arguments)}) as client:
      print(client.predict("{task}", "some text"))
"""


def _tls(settings: Settings, target: Target) -> str:
    roots = "" if target.roots == "system" else str(target.roots)
    given = {"root_certificates": roots, "server_name": target.server_name}
    if settings.tls.client_ca is not None:
        given |= {"certificate": "...", "private_key": "..."}
    return ", ".join(f'{name}="{value}"' for name, value in given.items() if value)
