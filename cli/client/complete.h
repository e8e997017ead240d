/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told from the command tables besides running them. */
#pragma once

/* `socle completion bash|zsh`: a script for the shell. It asks `socle complete WORD...` what can
 * stand in place of the last word; the answer is a word a line, nothing where files may stand. */
int completion_main(int argc, char **argv);
int complete_main(int argc, char **argv);

/* `socle-client man NOUN`: the manual page of a noun, in mdoc(7). For the build. */
int man_main(int argc, char **argv);
