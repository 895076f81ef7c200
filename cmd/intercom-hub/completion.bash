# Completion of intercom-hub's commands.
_intercom_hub() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words
	case $before in
	-config) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	config) words='show key push list' ;;
	account) words='new list' ;;
	key) words='new list revoke' ;;
	group) words='set list remove' ;;
	tls) words='new renew show' ;;
	user) words='add password role list remove' ;;
	-*) return ;;
	*)
		words='check config account key token group user tls stations calls'
		[[ $word != -* ]] || words='-config -version -h'
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _intercom_hub intercom-hub
