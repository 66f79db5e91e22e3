# Completion for bash. It asks the command itself what commands and options there are.

_thrum_commands() {
  "$1" --help 2>/dev/null | sed -n 's/^  thrum \([a-z]*\) .*/\1/p'
}

# Which argument of its command the current word is, options aside; 0 behind `--`.
_thrum_argument() {
  local i n=1
  for ((i = 2; i < cword; i++)); do
    [[ ${words[i]} == -- ]] && echo 0 && return
    [[ ${words[i]} == -* ]] || ((n++))
  done
  echo $n
}

# What may follow an option that takes a value. 1: the word before is none of these.
_thrum_value() {
  case $1:$prev in
    run:--check | run:-c | run:--profile | run:-p) COMPREPLY=($(compgen -W locks -- "$cur")) ;;
    run:--workers | run:-w | run:--interval | run:-i | new:--name | new:-n) ;;
    run:--timeline | run:-t | timeline:--output | timeline:-o) _filedir '@(html|json|pftrace)' ;;
    run:--keep | run:-k) _filedir ;;
    *) return 1 ;;
  esac
}

_thrum_argument_of() { # COMMAND NUMBER
  case $1 in
    run) [[ $2 == 0 ]] && _filedir || _filedir '@(c|cc|cpp|cxx|c++|C|s|S|o|a|so)' ;;
    new) _filedir -d ;;
    dis)
      if [[ $2 == 2 ]]; then
        COMPREPLY=($(compgen -W '$(nm --defined-only "${words[cword - 1]}" 2>/dev/null |
          sed -n "s/.* [tTwW] \([A-Za-z]\w*\)$/\1/p")' -- "$cur"))
      else
        _filedir
      fi ;;
    top | dump) [[ $cur == */* ]] || _pids; [[ $1 == top || ${COMPREPLY-} ]] || _filedir ;;
    doctor) ;;
    *) _filedir ;;
  esac
}

_thrum() {
  local cur prev words cword split
  _init_completion -s || return
  if ((cword == 1)); then
    COMPREPLY=($(compgen -W '$(_thrum_commands "$1") --help --version' -- "$cur"))
    return
  fi
  local command=${words[1]} argument
  argument=$(_thrum_argument)
  _thrum_value "$command" && return
  if [[ $cur == -* && $argument != 0 ]]; then
    COMPREPLY=($(compgen -W '$(_parse_help "$1" "$command --help")' -- "$cur"))
    [[ ${COMPREPLY-} == *= ]] && compopt -o nospace 2>/dev/null
    return
  fi
  _thrum_argument_of "$command" "$argument"
} && complete -F _thrum thrum
