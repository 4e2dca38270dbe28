"""``sqz-nlu completion``: completion of verbs, options and files for a shell, from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from sqz_nlu.cli.common import Verbs, examples

_EXAMPLES = """
eval "$(sqz-nlu completion bash)"       # in ~/.bashrc
eval "$(sqz-nlu completion zsh)"        # in ~/.zshrc, after compinit
sqz-nlu completion fish > ~/.config/fish/completions/sqz-nlu.fish
"""

_BASH = """_sqz_nlu() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" verb="${{COMP_WORDS[1]}}" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs}" -- "$word"))
    return
  fi
  case "$verb" in
{cases}
  esac
  if [ "${{word#-}}" != "$word" ] || [ "$verb" = completion ]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _sqz_nlu sqz-nlu
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add(verbs: Verbs) -> None:
    """Declares the verb."""
    verb = verbs.add_parser(
        "completion", help="print a script that completes commands in your shell", **examples(_EXAMPLES)
    )
    verb.add_argument("shell", choices=("bash", "zsh", "fish"))
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb and returns the exit code."""
    from sqz_nlu.cli import build_parser

    verbs = verb_parsers(build_parser())
    if arguments.shell == "fish":
        print(_fish(verbs), end="")
    else:
        print((_ZSH if arguments.shell == "zsh" else "") + _bash(verbs), end="")
    return 0


def verb_parsers(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parser of each verb."""
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    parsers: Mapping[str, argparse.ArgumentParser] = action.choices
    return parsers


def _summaries(parser: argparse.ArgumentParser) -> dict[str, str]:
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return {choice.dest: choice.help or "" for choice in action._choices_actions}


def _bash(verbs: Mapping[str, argparse.ArgumentParser]) -> str:
    cases = [f'    {name}) options="{" ".join(_words(verb))}" ;;' for name, verb in verbs.items()]
    return _BASH.format(verbs=" ".join([*verbs, "--help", "--version"]), cases="\n".join(cases))


def _words(verb: argparse.ArgumentParser) -> list[str]:
    """Options, and the choices of arguments that have some."""
    options = [option for action in verb._actions for option in action.option_strings]
    choices = [str(c) for a in verb._actions if not a.option_strings for c in a.choices or ()]
    return [*options, *choices]


def _fish(verbs: Mapping[str, argparse.ArgumentParser]) -> str:
    from sqz_nlu.cli import build_parser

    summaries = _summaries(build_parser())
    lines = []
    for name, verb in verbs.items():
        command = "complete -c sqz-nlu"
        lines.append(f"{command} -n __fish_use_subcommand -f -a {name} -d {_quoted(summaries.get(name, ''))}")
        seen = f"{command} -n '__fish_seen_subcommand_from {name}'"
        for action in verb._actions:
            long = [option[2:] for option in action.option_strings if option.startswith("--")]
            short = [option[1:] for option in action.option_strings if not option.startswith("--")]
            flags = "".join(f" -l {option}" for option in long) + "".join(f" -s {option}" for option in short)
            values = f" -x -a {_quoted(' '.join(map(str, action.choices)))}" if action.choices else ""
            takes = " -r" if flags and action.nargs != 0 and not values else ""
            if flags or values:
                lines.append(f"{seen}{flags}{takes}{values} -d {_quoted(_plain(action))}")
    return "\n".join(lines) + "\n"


def _plain(action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": "sqz-nlu"}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
