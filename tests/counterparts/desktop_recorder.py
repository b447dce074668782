"""Answers org.freedesktop.Notifications without a screen: records every call, and misbehaves when told to.

DIR/calls.jsonl gets one line for every Notify and CloseNotification, with all hints. Commands are lines appended to
DIR/commands:
  refuse on|off      answer Notify with a D-Bus error
  hang on|off        never answer Notify
  press ID KEY       emit ActionInvoked(ID, KEY), then NotificationClosed(ID, 2), as if the user pressed a button
  close ID REASON    emit NotificationClosed: 1 expired, 2 dismissed by the user, 3 closed by a call
Each command is written to DIR/calls.jsonl when it is in force.
"""
import asyncio
import json
import os
import sys
import time

from dbus_fast import BusType, DBusError
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method, dbus_signal

FOLDER = sys.argv[1]


def record(**line):
    with open(os.path.join(FOLDER, "calls.jsonl"), "a", encoding="utf-8") as file:
        file.write(json.dumps({"time": time.time(), **line}, ensure_ascii=False, default=repr) + "\n")


class Notifications(ServiceInterface):
    def __init__(self):
        super().__init__("org.freedesktop.Notifications")
        self.last = 0
        self.refuse = self.hang = False

    @dbus_method()
    async def Notify(self, app_name: "s", replaces_id: "u", app_icon: "s", summary: "s", body: "s",
                     actions: "as", hints: "a{sv}", expire_timeout: "i") -> "u":
        verdict = "hang" if self.hang else "refused" if self.refuse else "shown"
        number = replaces_id
        if verdict == "shown" and not replaces_id:
            self.last += 1
            number = self.last
        record(call="Notify", verdict=verdict, id=number, replaces_id=replaces_id, app_name=app_name, app_icon=app_icon,
               summary=summary, body=body, actions=dict(zip(actions[::2], actions[1::2])),
               hints={name: value.value for name, value in hints.items()}, expire_timeout=expire_timeout)
        if verdict == "hang":
            await asyncio.sleep(86400)
        if verdict == "refused":
            raise DBusError("org.freedesktop.DBus.Error.Failed", "refused on demand")
        return number

    @dbus_method()
    def CloseNotification(self, number: "u"):
        record(call="CloseNotification", id=number)
        self.NotificationClosed(number, 3)

    @dbus_method()
    def GetCapabilities(self) -> "as":
        return ["actions", "body", "body-markup", "persistence"]

    @dbus_method()
    def GetServerInformation(self) -> "ssss":
        return ["recorder", "bellwether", "1", "1.2"]

    @dbus_signal()
    def NotificationClosed(self, number, reason) -> "uu":
        return [number, reason]

    @dbus_signal()
    def ActionInvoked(self, number, key) -> "us":
        return [number, key]


def obey(service, words):
    if words[0] in ("refuse", "hang"):
        setattr(service, words[0], words[1] == "on")
    elif words[0] == "press":
        service.ActionInvoked(int(words[1]), words[2])
        service.NotificationClosed(int(words[1]), 2)
    elif words[0] == "close":
        service.NotificationClosed(int(words[1]), int(words[2]))
    else:
        raise ValueError(f"unknown command {words}")
    record(command=words)


async def main():
    commands = os.path.join(FOLDER, "commands")
    for name in (commands, os.path.join(FOLDER, "calls.jsonl")):
        open(name, "w", encoding="utf-8").close()
    bus = await MessageBus(bus_type=BusType.SESSION).connect()
    service = Notifications()
    bus.export("/org/freedesktop/Notifications", service)
    await bus.request_name("org.freedesktop.Notifications")
    with open(commands, encoding="utf-8") as file:
        rest = ""
        while bus.connected:
            rest += file.readline()
            if not rest.endswith("\n"):
                await asyncio.sleep(0.02)
                continue
            words, rest = rest.split(), ""
            if words:
                obey(service, words)


asyncio.run(main())
