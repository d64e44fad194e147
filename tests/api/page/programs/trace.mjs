// Traces of a page, and the tasks in them.
import assert from "node:assert/strict";

const CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline", "__metadata"];

/** The events of a trace that is made during `job`. */
export async function traced(page, job) {
  const session = await page.context().newCDPSession(page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: CATEGORIES } });
  await job();
  await session.send("Tracing.end");
  const { dataLossOccurred } = await complete;
  assert.ok(!dataLossOccurred, "the trace is complete");
  return events;
}

/** The tasks of the busiest main thread: that of the page. */
export function mainTasks(events) {
  const threads = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const all = threads.map(({ pid, tid }) => outermost(events.filter((event) => event.pid === pid && event.tid === tid && isTask(event))));
  return all.sort((one, other) => other.length - one.length)[0];
}

/** Chromium traces one task twice: as `ThreadControllerImpl::RunTask`, and in it as `RunTask`. */
function isTask({ name, ph }) {
  return ph === "X" && name.endsWith("RunTask");
}

/** The tasks of a thread that run in no other one. */
export function outermost(tasks) {
  let end = -Infinity;
  return tasks.toSorted((one, other) => one.ts - other.ts || other.dur - one.dur).filter(({ ts, dur }) => {
    const isInside = ts + dur <= end;
    if (!isInside) end = ts + dur;
    return !isInside;
  });
}
