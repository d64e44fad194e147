// Each task of a trace counts once, although Chromium writes it at two levels.
import assert from "node:assert/strict";
import { mainTasks } from "./trace.mjs";

const event = (name, ts, dur, more = {}) => ({ name, ph: "X", pid: 1, tid: 2, ts, dur, ...more });
const events = [
  event("RunTask", 101, 58), // written when it ends: before the one around it
  event("ThreadControllerImpl::RunTask", 100, 60),
  event("Layout", 110, 20),
  event("ThreadControllerImpl::RunTask", 160, 30),
  event("RunTask", 160, 30), // at the same time as the one around it
  event("RunTask", 300, 5),
  event("RunTask", 100, 500, { tid: 3 }),
  event("RunTask", 100, 500, { ph: "B" }),
  ...[2, 3].map((tid) => ({ name: "thread_name", ph: "M", pid: 1, tid, args: { name: "CrRendererMain" } })),
];
assert.deepEqual(mainTasks(events).map(({ ts, dur }) => [ts, dur]), [[100, 60], [160, 30], [300, 5]]);
