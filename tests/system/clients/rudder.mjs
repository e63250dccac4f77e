// node rudder.mjs HOST WRITE_KEY: RudderStack's node SDK (gzip), only its data plane URL changed.
import RudderAnalytics from '@rudderstack/rudder-sdk-node';

const [dataPlaneUrl, writeKey] = process.argv.slice(2);
const Client = RudderAnalytics.default ?? RudderAnalytics;
const client = new Client(writeKey, { dataPlaneUrl, flushAt: 10, retryCount: 0, gzip: true });
const sent = (send) => new Promise((resolve, reject) => {
  send((error) => (error ? reject(error) : resolve()));
});
const userId = 'rudder-node';
const all = [
  sent((done) => client.identify({ userId, traits: { plan: 'silver' } }, done)),
  sent((done) => client.page({ userId, name: 'Home', properties: { path: '/' } }, done)),
];
for (let view = 0; view < 18; ++view) {
  all.push(sent((done) => client.track({
    userId,
    event: 'Product Viewed',
    properties: { product_id: `r${view}`, price: 20 + view },
  }, done)));
}
client.flush();
await Promise.all(all);
// The same data posted as a form content type, as some of its platforms do.
const form = await fetch(`${dataPlaneUrl}/v1/track`, {
  method: 'POST',
  headers: {
    'Content-Type': 'application/x-www-form-urlencoded',
    Authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
  },
  body: JSON.stringify({ userId, event: 'Product Added', properties: { price: 3 } }),
});
if (form.status !== 200) throw new Error(`form content type: ${form.status}`);
process.exit(0);
