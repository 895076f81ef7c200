# Completion of intercomctl's commands and flags.
_intercomctl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words
	case $before in
	-socket | -output) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	-context | -hold | press) return ;;
	volume) words='talk ring' ;;
	dnd | privacy) words='on off' ;;
	doctor) words='time hub audio button call update' ;;
	door) words='open hold release unlock' ;;
	*)
		words='status call answer decline hangup press mute unmute volume selftest dnd privacy door reload restart top doctor report events'
		[[ $word != -* ]] || words='-socket -json -context -wait -hold -output -version'
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _intercomctl intercomctl
