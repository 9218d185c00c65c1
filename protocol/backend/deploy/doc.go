// Package deploy has the files that an operator puts beside the receiver: settings and
// access rules for mosquitto and RabbitMQ, dashboards for Grafana. Tests try each.
package deploy
