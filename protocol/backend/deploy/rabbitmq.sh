#!/bin/sh
# rabbitmq.sh DEVICE PASSWORD: a user for one device, confined to its own topics. The
# MQTT plugin publishes to amq.topic with "." for "/", and a subscription is a queue
# named mqtt-subscription-CLIENTIDqos1. RABBITMQCTL may name another rabbitmqctl.
set -eu
device=$1 password=$2
ctl=${RABBITMQCTL:-rabbitmqctl}
# In a regular expression the only special characters of an id are "-" (outside of
# brackets it is none) and ":" and "_" (none).
$ctl add_user "$device" "$password"
$ctl set_permissions -p / "$device" "^mqtt-subscription-${device}qos[01]\$" "^(mqtt-subscription-${device}qos[01]|amq\\.topic)\$" \
	"^(mqtt-subscription-${device}qos[01]|amq\\.topic)\$"
$ctl set_topic_permissions -p / "$device" amq.topic "^cw\\.${device}\\.[aesmrwl]\$" "^cw\\.${device}\\.d\$"
