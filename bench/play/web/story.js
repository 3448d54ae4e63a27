// The guided story: that day in four runs of a million leases.
var story = (function () {
  "use strict";
  const day = (broken) => ({ name: "surge", leases: "1000000", broken: String(broken) });
  return [
    {
      title: "1. An ordinary hiccup", keys: day(100), contestants: ["fifo"],
      text: "A million servers hold a lease each, and renew it by a check every 20 s. The checks take a quarter of the manager's capacity. " +
        "The dependency is away for a second, and 100 leases lapse. Their owners ask for new ones when it comes back. Nobody notices: the queue is empty again at once.",
    },
    {
      title: "2. A bad hour", keys: day(30000), contestants: ["fifo"],
      text: "Now 30,000 leases have lapsed. All 30,000 ask within a tenth of a second. The queue is long, and yet each attempt is served before its timeout of one second is over. " +
        "β says how many timeouts the spare capacity needs for the surge: it is below 1. The leases come back.",
    },
    {
      title: "3. That day", keys: day(100000), contestants: ["fifo"],
      text: "That day a tenth of all had lapsed. With 100,000 lapsed leases the last in the queue waits longer than the timeout. It gives up and asks again, at the end of the queue. " +
        "The manager still serves its old attempt: work for somebody who has left. After a while it serves nobody else. Nothing is broken any more, and the leases never come back.",
    },
    {
      title: "4. The same, and the dead are dropped", keys: day(100000), contestants: ["fifo", "deadline"],
      text: "The same 100,000 lapsed leases. One contestant is the queue from before. The other, 'deadline', drops an attempt that cannot be answered before its owner stops waiting. That is the only difference. " +
        "Look at the active leases and at the wasted work. Then end the story and set your own numbers: how large a surge does your own manager survive?",
    },
  ];
})();
