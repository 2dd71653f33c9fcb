# bash completion of sagene: source this file, or put it at ~/.local/share/bash-completion/completions/sagene.
# The program writes its own script, so that it always fits the version that is installed.
source <(sagene completion bash)
