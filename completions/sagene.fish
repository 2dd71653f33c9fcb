# fish completion of sagene: put this file into ~/.config/fish/completions.
# The program writes its own script, so that it always fits the version that is installed.
sagene completion fish | source
