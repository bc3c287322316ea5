// The tutorial's page without what it draws: the SDK for browsers, subscribed to the channel of the leaderboard in each of
// the ways that the tutorial comes to. A line of JSON for each state that a viewer is shown.
//
//   node --experimental-websocket page.mjs SDK ADDRESS
const [sdk, address] = process.argv.slice(2);
const { Centrifuge } = await import(sdk);

const ways = {
  plain: {},
  delta: { delta: 'fossil' },
  since: { delta: 'fossil', since: {} },
};

const say = (viewer, what) => process.stdout.write(`${JSON.stringify({ viewer, ...what })}\n`);

for (const [viewer, options] of Object.entries(ways)) {
  const centrifuge = new Centrifuge(address);
  const sub = centrifuge.newSubscription('leaderboard', options);
  sub.on('subscribed', () => say(viewer, { subscribed: true }));
  sub.on('publication', ({ data }) => say(viewer, { leaders: data.leaders }));
  sub.on('error', ({ error }) => say(viewer, { error: error.message }));
  centrifuge.on('disconnected', ({ reason }) => say(viewer, { error: reason }));
  centrifuge.connect();
  sub.subscribe();
}
