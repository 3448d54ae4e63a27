// Reads the log on standard input with hdr-histogram-js and prints, as JSON, what it finds: its tags,
// its intervals by way of one reading from start to end, and what the same implementation writes of
// them: a log, and a percentile distribution of each.
"use strict";
const hdr = require("hdr-histogram-js");
const text = require("fs").readFileSync(0, "utf8");
const [from, to] = process.argv.slice(-2).map(Number);

function read(from, to) {
  const reader = new hdr.HistogramLogReader(text, 64);
  const all = [];
  for (let h; (h = reader.nextIntervalHistogram(from, to)) !== null; ) all.push(h);
  return all;
}

const written = [];
const writer = new hdr.HistogramLogWriter((s) => written.push(s));
writer.outputLogFormatVersion();
writer.outputLegend();
const intervals = read().map((h) => {
  writer.outputIntervalHistogram(h);
  return {
    tag: h.tag === "NO TAG" ? "" : h.tag,
    start: h.startTimeStampMsec,
    end: h.endTimeStampMsec,
    count: h.totalCount,
    p50: h.getValueAtPercentile(50),
    max: h.maxValue,
    hgrm: h.outputPercentileDistribution(5, 1000),
  };
});
console.log(JSON.stringify({ tags: hdr.listTags(text), intervals, inRange: read(from, to).length, log: written.join("") }));
