# SPDX-License-Identifier: Apache-2.0
# In the test guest (lab/guest --run): the console is a line of commands; behind what each prints, a
# line says its status.
stty -echo </dev/console
dmesg -n 1
echo SOCLE-COMMANDS
while read -r line; do
    eval "$line" </dev/null
    echo "SOCLE-STATUS $?"
done
