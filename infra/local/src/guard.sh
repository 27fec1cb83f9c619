# Ends what its owner registered, once the owner has closed standard input. The kernel closes it for an owner that dies,
# in whatever way. POSIX sh, without a trap that could run while it works.
trap '' HUP INT QUIT TERM PIPE
set -f
processes=''
directories=''
newline='
'

forget() {
    kept=''
    for entry in $processes; do
        [ "${entry%:*}" = "$1" ] || kept="$kept $entry"
    done
    processes=$kept
}

# Sends every process its own signal, or $1 instead.
signal_all() {
    for entry in $processes; do
        kill -s "${1:-${entry#*:}}" -- "${entry%:*}"
        # A stopped process acts on most signals only once it goes on.
        kill -s CONT -- "${entry%:*}"
    done
}

# Returns when all are gone, at the latest after $1 tenths of a second.
await_end() {
    tenths=0
    while [ "$tenths" -lt "$1" ]; do
        alive=''
        for entry in $processes; do
            kill -s 0 -- "${entry%:*}" && alive="$alive $entry"
        done
        processes=$alive
        [ -z "$processes" ] && return
        sleep 0.1 || sleep 1
        tenths=$((tenths + 1))
    done
}

# From here on no signal but KILL ends it, which the owner waits to hear.
echo ready
exec >/dev/null

# A line that the owner did not finish before it died is no line: read fails on it.
while IFS= read -r line; do
    case $line in
        'add '*)
            line=${line#add }
            forget "${line% *}"
            processes="$processes ${line% *}:${line#* }"
            ;;
        'remove '*) forget "${line#remove }" ;;
        'directory '*) directories="$directories${line#directory }$newline" ;;
    esac
done

signal_all
await_end 50
signal_all KILL
await_end 20

printf '%s' "$directories" | while IFS= read -r directory; do
    case $directory in
        /*/?*) [ -d "$directory" ] && [ ! -L "$directory" ] && { rm -rf -- "$directory" || { sleep 1; rm -rf -- "$directory"; }; } ;;
    esac
done
