const { hub: url, key: apikey, cuid } = Object.fromEntries(new URLSearchParams(location.search));
const { connect } = await import(`${url}/sdk/intercom.js`);
const client = await connect({ url, account: 'demo', apikey, cuid, screens: false });
client.on('ring_blocked', (on) => console.log(`ring_blocked ${on}`));
console.log('signed in');
